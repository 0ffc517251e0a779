"""A task that keeps leases alive while its process lives. API room."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from media_service.exceptions import MediaServiceError

log = structlog.get_logger(__name__)


class Heartbeat:
    """Calls `beat` three times in the life of a lease. No failure ends it: it is tried at the next turn."""

    def __init__(self, beat: Callable[[], Awaitable[None]], *, lease: timedelta, failure: str) -> None:
        self._beat = beat
        self._pause_seconds = lease.total_seconds() / 3
        self._failure = failure
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._beat_for_ever())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds)
            try:
                await self._beat()
            except MediaServiceError as error:
                log.warning(self._failure, code=error.code)
            except Exception:
                # Whatever it is: without a heartbeat all that this process holds would be given up.
                log.exception(self._failure)
