"""An S3 server that fails as real ones do: a proxy in front of another, with faults by operation.

Requests pass unchanged, the Host header too, so that signatures stay good.
"""

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

RESET = struct.pack("ii", 1, 0)
HANG_SECONDS = 120
"""No test waits so long."""
HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the server behind."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Fault = Callable[["Exchange"], None]


class Exchange:
    """One request: `forward` asks the server behind, `send` answers, `reset` breaks the connection."""

    def __init__(self, handler: "_Handler", proxy: "S3FaultProxy", body: bytes) -> None:
        self._handler = handler
        self._proxy = proxy
        self._body = body

    def forward(self) -> Answered:
        connection = http.client.HTTPConnection("127.0.0.1", self._proxy.target_port, timeout=60)
        try:
            connection.putrequest(
                self._handler.command, self._handler.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self._handler.headers.items():
                if name.lower() not in HOP_HEADERS and name.lower() != "expect":
                    connection.putheader(name, value)
            if self._body or self._handler.command in {"PUT", "POST"}:
                connection.putheader("Content-Length", str(len(self._body)))
            connection.endheaders(self._body)
            answer = connection.getresponse()
            return Answered(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def send(self, answered: Answered, *, body: bytes | None = None, length_bytes: int | None = None) -> None:
        """Answer with a body that may be another, and a length that may be a lie."""
        shown = answered.body if body is None else body
        self._handler.send_response(answered.status)
        for name, value in answered.headers:
            if name.lower() not in HOP_HEADERS:
                self._handler.send_header(name, value)
        length = _length_of(answered, shown, self._handler.command)
        self._handler.send_header("Content-Length", str(length if length_bytes is None else length_bytes))
        self._handler.end_headers()
        self._handler.wfile.write(shown)
        self._handler.close_connection = length_bytes is not None

    def drip(self, answered: Answered, *, pause_seconds: float) -> None:
        """Answer with one byte after the other, until the proxy heals or nobody listens."""
        self.send(answered, body=answered.body[:1], length_bytes=len(answered.body))
        for byte in answered.body[1:]:
            if self._proxy.is_over(pause_seconds):
                break
            self._handler.wfile.write(bytes([byte]))
            self._handler.wfile.flush()

    def hang(self) -> None:
        """Say nothing, until the proxy heals; then break off."""
        self._proxy.is_over(HANG_SECONDS)
        self.reset()

    def reset(self) -> None:
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._handler.close_connection = True


def _length_of(answered: Answered, body: bytes, method: str) -> int:
    if method == "HEAD":
        return next((int(value) for name, value in answered.headers if name.lower() == "content-length"), 0)
    return len(body)


def status(code: int, name: str) -> Fault:
    """An error of the server, and nothing happens behind."""
    body = f"<Error><Code>{name}</Code><Message>secret-backend.internal</Message></Error>".encode()
    return lambda exchange: exchange.send(Answered(code, [("Content-Type", "application/xml")], body))


def reset(exchange: Exchange) -> None:
    exchange.reset()


def hang(exchange: Exchange) -> None:
    exchange.hang()


def lose_answer(exchange: Exchange) -> None:
    """It happens behind, and nobody is told."""
    exchange.forward()
    exchange.reset()


def error_in_200(exchange: Exchange) -> None:
    """As CompleteMultipartUpload may: the status came before the failure (S3 API)."""
    body = b"<Error><Code>InternalError</Code><Message>secret-backend.internal</Message></Error>"
    exchange.send(Answered(200, [("Content-Type", "application/xml")], body))


def error_in_200_after_the_work(exchange: Exchange) -> None:
    exchange.forward()
    error_in_200(exchange)


def truncate(exchange: Exchange) -> None:
    """The length of the whole, and half of its bytes."""
    answered = exchange.forward()
    exchange.send(answered, body=answered.body[: len(answered.body) // 2], length_bytes=len(answered.body))


def drip(exchange: Exchange) -> None:
    exchange.drip(exchange.forward(), pause_seconds=0.5)


def flip_a_bit(exchange: Exchange) -> None:
    answered = exchange.forward()
    middle = len(answered.body) // 2
    flipped = bytes([answered.body[middle] ^ 1])
    exchange.send(answered, body=answered.body[:middle] + flipped + answered.body[middle + 1 :])


class S3FaultProxy:
    """Faults are injected by operation, and end after so many times, or with `heal`."""

    def __init__(self, target_url: str) -> None:
        self.target_port = urlsplit(target_url).port or 80
        self.seen: Counter[str] = Counter()
        self._faults: dict[str, tuple[Fault, int]] = {}
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="s3-proxy", daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def inject(self, *operations: str, fault: Fault, times: int = 1_000_000) -> None:
        """Let the next `times` requests of each operation fail; `operations` as `operation_of` names them."""
        with self._lock:
            self._healed.clear()
            for operation in operations:
                self._faults[operation] = (fault, times)

    def heal(self) -> None:
        with self._lock:
            self._faults.clear()
            self._healed.set()

    def is_over(self, seconds: float) -> bool:
        """Wait; whether the fault has ended meanwhile."""
        return self._healed.wait(seconds)

    def take_fault(self, operation: str) -> Fault | None:
        with self._lock:
            self.seen[operation] += 1
            fault, times = self._faults.get(operation, (None, 0))
            if fault is not None and times > 1:
                self._faults[operation] = (fault, times - 1)
            else:
                self._faults.pop(operation, None)
            return fault


def operation_of(method: str, target: str) -> str:
    """What a request asks for, by the names of our own port."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    key = url.path.strip("/").partition("/")[2]
    if "uploads" in query:
        return "list_uploads" if method == "GET" else "create_upload"
    if "uploadId" in query:
        return {"PUT": "put_part", "POST": "complete_upload", "DELETE": "abort_upload"}.get(method, "other")
    if method == "POST" and "delete" in query:
        return "delete"
    if not key:
        return "list_objects" if method == "GET" else "check"
    return {"PUT": "put", "GET": "open", "HEAD": "head", "DELETE": "delete"}.get(method, "other")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: S3FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is what faults are for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy = self.server.proxy
        exchange = Exchange(self, proxy, body)
        fault = proxy.take_fault(operation_of(self.command, self.path))
        if fault is None:
            exchange.send(exchange.forward())
        else:
            fault(exchange)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the names of the library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        """Say nothing: the service's own log tells what it met."""
