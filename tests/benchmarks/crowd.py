"""Many clients at once in one thread: kept connections, each sends its next request when it has its answer.

Made for little CPU (about 20 µs a request), so that the server is what is measured.
"""

import selectors
import socket
from itertools import cycle

from tests.benchmarks.connection import content_length

RECEIVE_BYTES = 256 * 1024
STALL_SECONDS = 30
"""Silence after which a run is given up."""


class _Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._missing = -1
        self._head = b""

    def send(self, request: bytes) -> None:
        """Blocks while the server does not read; requests are small enough for the socket's buffer."""
        self._missing, self._head = -1, b""
        self.socket.sendall(request)

    @property
    def succeeded(self) -> bool:
        return self._head.startswith(b"HTTP/1.1 2")

    def is_answered(self) -> bool:
        """Take what has arrived; whether that ends the answer."""
        received = self.socket.recv(RECEIVE_BYTES)
        if not received:
            raise RuntimeError("the server closed a kept connection")
        if self._missing >= 0:
            self._missing -= len(received)
            return self._missing <= 0
        self._head += received
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._missing = content_length(self._head[:end]) - (len(self._head) - end - 4)
        return self._missing <= 0


def run_crowd(port: int, requests: list[bytes], *, clients: int, count: int) -> int:
    """Send `count` requests, taken from `requests` in turn, over `clients` connections.

    Returns how many of them were refused: that a server is too busy is a finding, and no answer of a bench.
    """
    source = cycle(requests)
    crowd = [_Client(port) for _ in range(min(clients, count))]
    sent = answered = refused = 0
    with selectors.DefaultSelector() as selector:
        for client in crowd:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(next(source))
            sent += 1
        while answered < count:
            ready = selector.select(STALL_SECONDS)
            if not ready:
                raise RuntimeError(f"no answer for {STALL_SECONDS} s after {answered} of {count}")
            for key, _ in ready:
                if key.data.is_answered():
                    answered += 1
                    refused += not key.data.succeeded
                    if sent < count:
                        key.data.send(next(source))
                        sent += 1
    for client in crowd:
        client.socket.close()
    return refused
