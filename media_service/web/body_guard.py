"""Gives up on clients that stop to send, or only drip. API room.

Only time spent waiting for the client counts: a slow storage is not the client's fault.
"""

import asyncio
import time
from datetime import timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_service.exceptions import ErrorKind, MediaServiceError

SECOND_LOOK = 0.2
"""Seconds. When a process goes on that was stopped for a while (a suspended machine, a debugger), its timers
are due before it has read what clients sent meanwhile."""


class BodyGuard:
    """Raises MediaServiceError (timed out) out of `receive`, to whoever reads the body."""

    def __init__(self, app: ASGIApp, *, idle_timeout: timedelta, min_bytes_per_second: int) -> None:
        self._app = app
        self._idle_seconds = idle_timeout.total_seconds()
        self._min_bytes_per_second = min_bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, idle_seconds=self._idle_seconds, min_rate=self._min_bytes_per_second)
        await self._app(scope, body.receive, send)


class _Body:
    def __init__(self, receive: Receive, *, idle_seconds: float, min_rate: int) -> None:
        self._receive = receive
        self._idle_seconds = idle_seconds
        self._min_rate = min_rate
        self._is_open = True
        self._waited_seconds = 0.0
        self._received_bytes = 0

    async def receive(self) -> Message:
        if not self._is_open:
            return await self._receive()  # waits for the client to go away, as streaming answers do
        started = time.monotonic()
        message = await self._receive_within(self._idle_seconds) or await self._receive_within(SECOND_LOOK)
        if message is None:
            raise _timed_out(f"No byte of the body came for {self._idle_seconds:g} seconds.")
        self._waited_seconds += min(time.monotonic() - started, self._idle_seconds)
        self._received_bytes += len(message.get("body", b""))
        self._is_open = message["type"] == "http.request" and message.get("more_body", False)
        if self._is_open:
            self._check_rate()
        return message

    async def _receive_within(self, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except TimeoutError:
            return None

    def _check_rate(self) -> None:
        if self._waited_seconds <= self._idle_seconds:
            return
        if self._received_bytes < self._waited_seconds * self._min_rate:
            raise _timed_out(f"The body comes slower than {self._min_rate} bytes per second.")


def _timed_out(detail: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.TIMED_OUT, "body-timeout", detail)
