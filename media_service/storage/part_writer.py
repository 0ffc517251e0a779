"""Turns a stream of bytes of any chunking into one stored object. API room.

Memory is bounded by (parts in flight + 1) parts, whatever the size of the stream: `write` waits for the
storage, so a slow storage slows the socket and never fills memory. What all uploads of the process may hold
together is bounded by `upload_memory.py`.
"""

import asyncio
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol

from media_service.faultpoints import reach
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import ObjectNotFoundError, UploadLostError
from media_service.storage.port import PartReceipt
from media_service.storage.upload_memory import GrowingPart, UploadMemory

HASH_INLINE_BYTES = 64 * 1024
"""SHA-256 of this takes about 50 µs: less than a hop to a thread and back."""


class OutgrowHook(Protocol):
    """Told that an upload needs more than one part, before and after the storage begins a multipart."""

    async def before_create(self) -> None:
        """Record a claim on the bytes to come."""
        ...

    async def created(self, storage_upload_id: str) -> None:
        """Record where they are going."""
        ...


@dataclass(frozen=True, slots=True)
class WrittenBlob:
    """An object that is durable."""

    size_bytes: int
    sha256: str


class PartWriter:
    """Writes one object: at once if it fits one part, else as a multipart upload.

    Exactly one of `finish` and `abort` ends it. An upload that the storage does not know any more is an
    UploadLostError: the process was stopped for so long that its claim ran out.
    """

    def __init__(
        self,
        storage: AsyncStorage,
        key: str,
        *,
        content_type: str,
        part_size_bytes: int,
        memory: UploadMemory,
        hook: OutgrowHook,
    ) -> None:
        self._storage = storage
        self._memory = memory
        self._key = key
        self._content_type = content_type
        self._part_size_bytes = part_size_bytes
        self._hook = hook
        self._digest = hashlib.sha256()
        self._part = GrowingPart(memory, self._digest)
        self._size_bytes = 0
        self._upload_id: str | None = None
        self._receipts: list[PartReceipt] = []
        self._sends: list[asyncio.Task[None]] = []
        self._slots = asyncio.Semaphore(storage.part_limits.in_flight)
        self._failure: Exception | None = None

    async def write(self, data: bytes | memoryview) -> None:
        """Take bytes; waits while the storage is behind. Raises what the storage raised for any part."""
        rest = memoryview(data)
        while rest:
            taken = rest[: self._part_size_bytes - self._part.size_bytes]
            if not self._part.take(taken):
                await self._spill(taken)
            rest = rest[len(taken) :]
            # A full part is sent only when more follows, so a blob of exactly one part is one put.
            if rest and self._part.size_bytes == self._part_size_bytes:
                await self._send_part()

    async def finish(self) -> WrittenBlob:
        """Make the object durable. Raises what the storage raises; then only `abort` may follow."""
        if self._upload_id is None:
            await self._hash(self._part)
            self._start(self._put(self._part))
        else:
            await self._send_part()
            await self._wait_for_sends()
            self._start(self._complete(self._upload_id))
        await self._wait_for_sends()
        return WrittenBlob(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())

    async def abort(self) -> None:
        """Leave nothing behind, whatever was written so far."""
        self._part.release()
        # What is on its way is awaited, not cancelled: its thread goes on in either case.
        await asyncio.gather(*self._sends)
        self._failure = None  # its traceback leads back here: the bytes would live until a cycle is found
        if self._upload_id is not None:
            await self._storage.abort_upload(self._key, self._upload_id)
        if self._sends:
            # The answer to a completion or a put may have been lost after it took effect.
            await self._storage.delete([self._key])

    async def _spill(self, data: memoryview) -> None:
        part = self._part
        await self._storage.run(lambda: part.spill(data))
        part.spilled(len(data))

    async def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = await self._create_upload()
        await self._slots.acquire()
        self._raise_failure()
        part, self._part = self._part, GrowingPart(self._memory, self._digest)
        number = len(self._sends) + 1
        self._start(self._put_part(self._upload_id, number, part))
        # The digest is computed while the part is on its way; parts are hashed in order since this waits.
        await self._hash(part)

    async def _create_upload(self) -> str:
        await self._hook.before_create()
        reach("upload.claimed")
        upload_id = await self._storage.create_upload(
            self._key, content_type=self._content_type, part_size_bytes=self._part_size_bytes
        )
        self._upload_id = upload_id
        reach("upload.begun")
        await self._hook.created(upload_id)
        return upload_id

    async def _put(self, part: GrowingPart) -> None:
        try:
            await self._storage.put(
                self._key, part.reader(), content_type=self._content_type, size_bytes=part.size_bytes
            )
        finally:
            part.release()

    async def _put_part(self, upload_id: str, number: int, part: GrowingPart) -> None:
        try:
            receipt = await self._storage.put_part(
                self._key, upload_id, number, part.reader(), size_bytes=part.size_bytes
            )
            self._receipts.append(receipt)
            reach("upload.part")
        finally:
            part.release()
            self._slots.release()

    async def _complete(self, upload_id: str) -> None:
        parts = sorted(self._receipts, key=lambda receipt: receipt.number)
        await self._storage.complete_upload(self._key, upload_id, parts)
        reach("upload.completed")

    def _start(self, work: Coroutine[None, None, None]) -> None:
        async def keep_failure() -> None:
            try:
                await work
            except ObjectNotFoundError:
                self._failure = self._failure or UploadLostError()
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                self._failure = self._failure or error

        self._sends.append(asyncio.create_task(keep_failure()))

    async def _wait_for_sends(self) -> None:
        # Shielded: if the request is cancelled, `abort` must still know what is on its way.
        await asyncio.shield(asyncio.gather(*self._sends))
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _hash(self, part: GrowingPart) -> None:
        self._size_bytes += part.size_bytes
        unhashed = part.unhashed
        if len(unhashed) <= HASH_INLINE_BYTES:
            self._digest.update(unhashed)
        else:
            await self._storage.run(lambda: self._digest.update(unhashed))
