"""Connections to nobody but public servers, and for no longer than allowed. Worker room.

A host is resolved once, every address that it has is judged, and the connection goes to one of those very
addresses: a name that resolves to something else a moment later (DNS rebinding) gains nothing.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore2

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.imports.addresses import Address, is_public, parsed

Resolve = Callable[[str, int], Sequence[str]]
"""All addresses of a host. Raises OSError."""


def resolve(host: str, port: int) -> list[str]:
    """As the system resolves names; it also reads every spelling of an IPv4 address (`0x7f.1`)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Deadline:
    """The end of one fetch."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def bounded(self, seconds: float | None) -> float:
        """At most so many seconds. Raises MediaServiceError (unprocessable) if none are left."""
        self.check()
        left = self._end - time.monotonic()
        return max(left if seconds is None else min(seconds, left), 0.001)

    def check(self) -> None:
        """Raises MediaServiceError (unprocessable) if the time is over."""
        if time.monotonic() >= self._end:
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE, "import-too-slow", "The other server takes too long for this file."
            )


class GuardedNetwork(httpcore2.NetworkBackend):
    """Opens connections for one fetch."""

    def __init__(
        self, deadline: Deadline, *, resolve: Resolve = resolve, allows: Callable[[Address], bool] = is_public
    ) -> None:
        self._deadline = deadline
        self._resolve = resolve
        self._allows = allows
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Raises MediaServiceError (unprocessable) if any address of the host is not public."""
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        # One that is not public among others that are is no accident.
        if not addresses or not all(self._is_allowed(address) for address in addresses):
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE,
                "import-address-refused",
                "The URL leads to an address that is not public.",
            )
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.bounded(timeout), local_address, socket_options
                )
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure or httpcore2.ConnectError("no address")

    def _is_allowed(self, text: str) -> bool:
        try:
            return self._allows(parsed(text))
        except ValueError:
            return False


class _TimedStream(httpcore2.NetworkStream):
    """Every wait ends at the deadline: a server that drips would else be in time for each."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.bounded(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.bounded(timeout))
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
