"""HTTP by hand: requests that no client library would send, and answers read while a body is still open."""

import http.client
import socket
from types import TracebackType
from typing import Self


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
