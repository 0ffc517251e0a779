"""Reads a body that somebody else may ask to end. API room."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from media_service.uploads.resumable.errors import upload_taken_over
from media_service.uploads.resumable.locks import HeldLock

SILENCE_SECONDS = 0.2
"""A client that says nothing for so long, while another request waits, is taken for gone."""
MOMENT_SECONDS = 1.0
"""What a client that still sends gets to end, before it is cut all the same."""


class BodyBrokenError(Exception):
    """The body did not come to its end; `reason` says why."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


async def until_asked_to_stop(chunks: AsyncIterable[bytes], lock: HeldLock) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises BodyBrokenError for whatever keeps it from its end.

    When the lock is wanted by somebody else: a silent client is cut at once, and one that sends gets a
    moment. So a resume does not wait for a dead socket, and of two that race one comes through.
    """
    iterator = aiter(chunks)
    loop = asyncio.get_running_loop()
    watcher = asyncio.create_task(lock.stop.wait())
    deadline: float | None = None
    try:
        while True:
            if deadline is None and watcher.done():
                deadline = loop.time() + MOMENT_SECONDS
            try:
                chunk = await _next(iterator, watcher, deadline)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                raise BodyBrokenError(error) from error
            yield chunk
    finally:
        watcher.cancel()


async def _next(
    iterator: AsyncIterator[bytes], watcher: "asyncio.Task[object]", deadline: float | None
) -> bytes:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as patience:

            def lose_it(_: object) -> None:
                patience.reschedule(loop.time() + SILENCE_SECONDS)

            if deadline is not None:
                patience.reschedule(min(deadline, loop.time() + SILENCE_SECONDS))
                return await anext(iterator)
            watcher.add_done_callback(lose_it)
            try:
                return await anext(iterator)
            finally:
                watcher.remove_done_callback(lose_it)
    except TimeoutError:
        raise upload_taken_over() from None
