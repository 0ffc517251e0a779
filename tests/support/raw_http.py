"""HTTP by hand: requests that no client library would send, and answers read while a body is still open."""

import http.client
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PROBLEM_TYPE = "application/problem+json"


class RawConnection:
    """One TCP connection. What is sent is exactly what it says."""

    def __init__(self, port: int, *, timeout_seconds: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self._response: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send_head(self, method: str, path: str, headers: dict[str, str]) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", *(f"{k}: {v}" for k, v in headers.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; an empty one ends it."""
        self.socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def answer(self) -> http.client.HTTPResponse:
        """The head of the final answer (interim ones are passed over); read its body with `.read()`."""
        self._response = http.client.HTTPResponse(self.socket)
        self._response.begin()
        return self._response

    def receive_head(self) -> bytes:
        """Up to the first empty line, interim answers included."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                break
            received += byte
        return received

    def is_closed_by_peer(self) -> bool:
        """Read on to the end of the stream; whether there is one before the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Break off at once, as a lost network does (RST instead of FIN)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.close()

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        self.socket.close()


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer of a connection, read without a client library."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """Of a problem; None if the answer is none."""
        if self.headers.get("content-type") != PROBLEM_TYPE:
            return None
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        return str(problem["code"])


def exchange(port: int, pieces: Iterable[bytes], *, timeout_seconds: float = 20) -> list[RawAnswer]:
    """Send until it is refused or all sent, then read to the end of the stream; interim answers are left out.

    Raises TimeoutError if the connection is not closed in time, ConnectionResetError if an answer was cut.
    """
    with RawConnection(port, timeout_seconds=timeout_seconds) as connection:
        try:
            for piece in pieces:
                connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refusal closed it; the answer is what counts
        received = _read_to_the_end(connection.socket)
    return [answer for answer in _answers(received) if answer.status >= 200]


def _read_to_the_end(stream: socket.socket) -> bytes:
    """What follows a request that ends the connection may meet a closed one: a reset after the answer."""
    received = b""
    try:
        while data := stream.recv(65536):
            received += data
    except ConnectionResetError:
        if not _is_whole(received):
            raise
    return received


def _is_whole(received: bytes) -> bool:
    answers = list(_answers(received))
    return bool(answers) and len(answers[-1].body) == int(answers[-1].headers.get("content-length", 0))


def _answers(received: bytes) -> Iterable[RawAnswer]:
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size_bytes = int(headers.get("content-length", 0))
        yield RawAnswer(int(start.split(" ")[1]), headers, received[:size_bytes])
        received = received[size_bytes:]
