"""One kept connection over a blocking socket: for large bodies and for single requests."""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

BUFFER_BYTES = 1024 * 1024
"""Of one receive: large, so that the client spends its time in the kernel and not in Python."""
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    body: bytes
    body_bytes: int
    """Also where the body was thrown away."""

    def header(self, name: str) -> str:
        """The value of a header; empty if the answer does not have it."""
        lines = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        found = (value.strip() for key, _, value in lines if key.lower() == name.encode())
        return next(found, b"").decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Sends requests and reads answers one after the other; the answers need a Content-Length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(BUFFER_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, pieces: Iterable[bytes | memoryview], *, keep_body: bool = True) -> Answer:
        """Raises RuntimeError for an answer that is no success."""
        for piece in pieces:
            self._socket.sendall(piece)
        start, body = self._read_head()
        status, length = int(start[9:12]), content_length(start)
        received = len(body)
        while received < length:
            count = self._socket.recv_into(self._buffer)
            if count == 0:
                raise RuntimeError("the connection ended in mid-answer")
            received += count
            if keep_body:
                body += self._buffer[:count]
        if not 200 <= status < 300 and status != 304:
            raise RuntimeError(f"status {status}: {bytes(body[:500])!r}")
        return Answer(status, start, bytes(body), received)

    def _read_head(self) -> tuple[bytes, bytearray]:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            count = self._socket.recv_into(self._buffer)
            if count == 0:
                raise RuntimeError("the connection ended without an answer")
            received += self._buffer[:count]
        return bytes(received[:end]), received[end + 4 :]


def content_length(head: bytes) -> int:
    """0 where the answer has none, as a 204."""
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    return int(lowered[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
