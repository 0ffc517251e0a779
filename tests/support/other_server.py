"""A server of somebody else's, on loopback, that answers as a test says: byte by byte if it must."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = Callable[[str, socket.socket], None]
"""Is given the head of a request, and the connection to answer on."""

PATIENCE_SECONDS = 30


class OtherServer:
    """Counts who connects, and remembers what was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port: int = self._listener.getsockname()[1]
        self.heads: list[str] = []
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def url(self, path: str = "/photo.jpg", host: str = "files.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            self.heads.append(head.decode("latin-1"))
            try:
                self._answer(self.heads[-1], connection)
            except OSError:
                return  # whoever asked has had enough


def answer_with(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> Answer:
    """The same answer for everybody; `length` is what is said of the body."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    head = "\r\n".join(lines) + "\r\n\r\n"

    def answer(_: str, connection: socket.socket) -> None:
        connection.sendall(head.encode() + body)

    return answer


def redirect_to(location: str, *, status: str = "302 Found") -> Answer:
    return answer_with(b"", f"Location: {location}", status=status)
