"""The storage as the event loop sees it: each blocking call in a bounded pool of threads. API room."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.port import (
    BlobReader,
    Bytes,
    ForkedUpload,
    PartLimits,
    PartReceipt,
    Storage,
    StoredObject,
)

T = TypeVar("T")

PATIENCE_SECONDS = 25.0
"""Of a request for one call, waiting for a thread included: with a storage that hangs every request must get
its answer within half a minute. Less would give up on a store that only has to try again."""
MIN_BYTES_PER_SECOND = 256 * 1024
"""What is sent slower than this, on top of that patience, is given up: 57 s for a part of 8 MiB."""
COMPLETED_BYTES_PER_SECOND = 10 * 1024 * 1024
"""The same for making one object of parts: a directory syncs the whole file only then, which takes a slow
disk its time, and S3 needs minutes for the largest: 9 min for 5 GiB."""

READ_CHUNK_BYTES = 512 * 1024
"""One hop to a thread costs about 0.1 ms: smaller chunks are all hops, larger ones only hold memory."""


class AsyncStorage:
    """Runs a storage's calls in threads; `concurrency` of them at once, the others wait their turn.

    Whoever waits may be cancelled, or lose patience; a thread that is at work then goes on to the end of its
    call, and keeps its place among the others meanwhile. So what must not be cut short is awaited in a task
    of its own (`part_writer.py`), and what was written is discarded after it.

    Every call may raise StorageUnavailableError.
    """

    def __init__(self, storage: Storage, *, concurrency: int) -> None:
        self._storage = storage
        self._concurrency = concurrency
        self._limiter: CapacityLimiter | None = None
        self._checking: asyncio.Task[None] | None = None

    @property
    def part_limits(self) -> PartLimits:
        return self._storage.part_limits

    async def put(self, key: str, read: Callable[[], Bytes], *, content_type: str, size_bytes: int) -> None:
        """Store what `read` returns; it is called in the thread, since it may read a file."""
        await self.run(
            lambda: self._storage.put(key, read(), content_type=content_type),
            more_seconds=size_bytes / MIN_BYTES_PER_SECOND,
        )

    async def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> "AsyncBlobReader":
        """Open an object, or a range of it. Raises ObjectNotFoundError."""
        reader, first = await self.run(lambda: _open_and_read(self._storage, key, start, size_bytes))
        return AsyncBlobReader(reader, first, self)

    async def head(self, key: str) -> StoredObject:
        """Describe an object. Raises ObjectNotFoundError."""
        return await self.run(lambda: self._storage.head(key))

    async def delete(self, keys: Sequence[str]) -> None:
        await self.run(lambda: self._storage.delete(keys))

    async def create_upload(self, key: str, *, content_type: str, part_size_bytes: int) -> str:
        return await self.run(
            lambda: self._storage.create_upload(
                key, content_type=content_type, part_size_bytes=part_size_bytes
            )
        )

    async def put_part(
        self, key: str, upload_id: str, number: int, read: Callable[[], Bytes], *, size_bytes: int
    ) -> PartReceipt:
        """As `put`, for a part."""
        return await self.run(
            lambda: self._storage.put_part(key, upload_id, number, read()),
            more_seconds=size_bytes / MIN_BYTES_PER_SECOND,
        )

    async def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartReceipt]) -> None:
        size_bytes = sum(part.size_bytes for part in parts)
        await self.run(
            lambda: self._storage.complete_upload(key, upload_id, parts),
            more_seconds=size_bytes / COMPLETED_BYTES_PER_SECOND,
        )

    async def fork_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, new_key: str, part_size_bytes: int
    ) -> ForkedUpload:
        size_bytes = sum(part.size_bytes for part in parts)
        return await self.run(
            lambda: self._storage.fork_upload(
                key, upload_id, parts, new_key=new_key, part_size_bytes=part_size_bytes
            ),
            more_seconds=2 * size_bytes / COMPLETED_BYTES_PER_SECOND,
        )

    async def abort_upload(self, key: str, upload_id: str) -> None:
        await self.run(lambda: self._storage.abort_upload(key, upload_id))

    async def check(self) -> None:
        """Show that the storage answers. One check at a time, shared by all who ask.

        Probes give up early and come again: with a storage that hangs each would leave a thread behind.
        """
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(to_thread.run_sync(self._storage.check))
            # If nobody waits any more, its failure is nobody's news.
            self._checking.add_done_callback(_look_at_failure)
        await asyncio.shield(self._checking)

    async def run(self, call: Callable[[], T], *, more_seconds: float = 0.0) -> T:
        """Run a blocking call in one of the storage's threads; `more_seconds` for what its size costs."""
        # A limiter belongs to a running event loop, so it cannot be made where the object is.
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._concurrency)
        is_at_work = False

        def work() -> T:
            nonlocal is_at_work
            is_at_work = True
            return call()

        # A task of its own, so that a thread that goes on for nobody still counts as one of the threads.
        task = asyncio.create_task(to_thread.run_sync(work, limiter=self._limiter))
        task.add_done_callback(_look_at_failure)
        try:
            await asyncio.wait([task], timeout=PATIENCE_SECONDS + more_seconds)
        finally:
            if not task.done() and not is_at_work:
                task.cancel()  # it waits for a thread still: what nobody wants any more must not happen later
        if not task.done():
            raise StorageUnavailableError
        return task.result()


class AsyncBlobReader:
    """The bytes of an object, or of a range of it, in chunks.

    The first chunk was read in the same hop that opened the object; a small object is then over already.
    """

    def __init__(self, reader: BlobReader, first: bytes, storage: AsyncStorage) -> None:
        self._reader = reader
        self._first = first
        self._storage = storage
        self.size_bytes = reader.size_bytes
        self._is_open = len(first) < reader.size_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """Every byte once. Raises StorageUnavailableError if the storage breaks off."""
        chunk, left_bytes = self._first, self.size_bytes
        self._first = b""
        while chunk:
            yield chunk
            left_bytes -= len(chunk)
            if left_bytes <= 0:
                return
            chunk = await self._storage.run(lambda: self._reader.read(READ_CHUNK_BYTES))

    async def close(self) -> None:
        """Let go of the object; safe to call more than once."""
        if self._is_open:
            self._is_open = False
            await to_thread.run_sync(self._reader.close)


def _look_at_failure(task: asyncio.Task[Any]) -> None:
    """Else asyncio reports it as never seen, where whoever wanted it has gone."""
    if not task.cancelled():
        task.exception()


def _open_and_read(
    storage: Storage, key: str, start: int, size_bytes: int | None
) -> tuple[BlobReader, bytes]:
    """Open an object and read its first chunk; closes it if that was all."""
    reader = storage.open(key, start=start, size_bytes=size_bytes)
    try:
        first = reader.read(READ_CHUNK_BYTES)
    except BaseException:
        reader.close()
        raise
    if len(first) == reader.size_bytes:
        reader.close()
    return reader, first
