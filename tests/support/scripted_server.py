"""An HTTP server that says what a test wrote for it, and remembers what it was asked."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server says to one request; `length` lies about the body, `before` runs first."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    before: Callable[[], object] = lambda: None
    piece_pause_seconds: float = 0.0


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is what some tests want."""


class ScriptedServer:
    """Answers requests from a script, the last answer again and again, and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: list[Answer] = [Answer()]
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.is_over = threading.Event()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                scripted.requests.append((self.command, self.path, dict(self.headers)))
                answer = scripted.script.pop(0) if len(scripted.script) > 1 else scripted.script[0]
                answer.before()
                self.send_response(answer.status)
                length = len(answer.body) if answer.length is None else answer.length
                for name, value in {"Content-Length": str(length), **answer.headers}.items():
                    self.send_header(name, value)
                if answer.length is not None:  # announced: else the next request may run into the close
                    self.send_header("Connection", "close")
                self.end_headers()
                self.send_body(answer)
                self.close_connection = answer.length is not None

            def send_body(self, answer: Answer) -> None:
                try:
                    if answer.piece_pause_seconds:
                        for byte in answer.body:
                            self.wfile.write(bytes([byte]))
                            scripted.is_over.wait(answer.piece_pause_seconds)
                    elif self.command != "HEAD":
                        self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True  # the client has gone, as some tests want it to

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815  (names of http.server)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """No line for every request."""

        return Handler
