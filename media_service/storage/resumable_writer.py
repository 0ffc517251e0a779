"""Goes on writing an object that other requests began, and says how much of it is durable. API room.

Full parts go to a multipart upload, two at a time, as in `part_writer.py`. What is left when the bytes end is
no part yet: S3 takes none below 5 MiB but the last. It is stored as a small object of its own, the tail, and
is the beginning of the next part for whoever goes on. Nothing is reported as durable before the storage has
acknowledged it and all that stands before it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

from media_service.faultpoints import reach
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import ObjectNotFoundError, UploadLostError
from media_service.storage.part_writer import HASH_INLINE_BYTES
from media_service.storage.port import PartReceipt
from media_service.storage.upload_memory import GrowingPart, UploadMemory

CreateUpload = Callable[[], Awaitable[str]]
"""Begins the multipart upload, and writes down which it is."""

TYPE = "application/octet-stream"
"""Of tails, which nobody is served."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where another request stopped."""

    key: str
    upload_id: str | None
    parts: Sequence[PartReceipt]
    part_size_bytes: int
    tail_key: str | None
    offset_bytes: int


@dataclass(frozen=True, slots=True)
class Durable:
    """What the storage holds for sure: all parts of `Begun`, these new ones, and the tail behind them."""

    new_parts: Sequence[PartReceipt]
    tail_key: str | None
    offset_bytes: int


class ResumableWriter:
    """Writes what follows. `flush`, `finish` or `put_whole` ends it, and `close` in any case."""

    def __init__(
        self, storage: AsyncStorage, begun: Begun, *, memory: UploadMemory, create_upload: CreateUpload
    ) -> None:
        self.received_bytes = begun.offset_bytes
        """Of the whole, from its first byte to the last that was written here."""
        self._storage = storage
        self._begun = begun
        self._memory = memory
        self._create_upload = create_upload
        # A digest of the whole, if all of it comes this way; else a worker makes one.
        self._digest = hashlib.sha256() if not begun.parts else _NoDigest()
        self._part = GrowingPart(memory, self._digest)  # type: ignore[arg-type]  # only `update` is called
        self._upload_id = begun.upload_id
        self._new_parts: dict[int, PartReceipt] = {}
        self._next_number = len(begun.parts) + 1
        self._sends: list[asyncio.Task[None]] = []
        self._slots = asyncio.Semaphore(storage.part_limits.in_flight)
        self._failure: Exception | None = None

    @property
    def sha256(self) -> str | None:
        """Of the whole, after its end; None if a part of it came another way."""
        return self._digest.hexdigest()

    @property
    def is_torn(self) -> bool:
        """Whether something was begun whose end nobody knows: it may still be written."""
        return self._failure is not None or any(not send.done() for send in self._sends)

    def has_failed(self) -> bool:
        """Whether something could not be stored."""
        return self._failure is not None

    async def load_tail(self) -> bytes:
        """Take the tail of the request before back into memory; returns its beginning (4 KiB or all)."""
        if self._begun.tail_key is None:
            return b""
        reader = await self._storage.open(self._begun.tail_key)
        head = b""
        try:
            async for chunk in reader.chunks():
                if len(head) < 4096:
                    head += chunk[: 4096 - len(head)]
                await self._take(chunk)
        finally:
            await reader.close()
        return head

    async def write(self, data: bytes | memoryview) -> None:
        """Take bytes; waits while the storage is behind. Raises what the storage raised for any part."""
        self.received_bytes += len(data)
        await self._take(data)

    def durable(self) -> Durable:
        """What is durable now, in the midst of the bytes."""
        parts = self._contiguous_parts()
        if not parts:
            return Durable((), self._begun.tail_key, self._begun.offset_bytes)
        return Durable(parts, None, self._parts_bytes(parts))

    def confirmed(self, durable: Durable) -> None:
        """Take note that this was written down; it is not new any more."""
        parts = (*self._begun.parts, *durable.new_parts)
        self._begun = replace(
            self._begun, parts=parts, tail_key=durable.tail_key, offset_bytes=durable.offset_bytes
        )

    async def flush(self, tail_key: str) -> Durable:
        """Make all that was written durable; what follows the last whole part goes to `tail_key`.

        If a part cannot be stored, what stands before it is durable, and the failure is not raised.
        """
        await self._wait_for_sends()
        durable, part = self.durable(), self._part
        # Counted by what is held, not by what was to be written: a write may have been cut in its midst.
        offset_bytes = self._parts_bytes(durable.new_parts) + part.size_bytes
        # Without new bytes the tail of the request before is as good.
        if self.has_failed() or offset_bytes <= durable.offset_bytes:
            return durable
        await self._run(
            self._storage.put(tail_key, part.reader(), content_type=TYPE, size_bytes=part.size_bytes)
        )
        return durable if self.has_failed() else Durable(durable.new_parts, tail_key, offset_bytes)

    @property
    def fits_one_part(self) -> bool:
        """Whether the object can be stored at once."""
        return self._upload_id is None and self._next_number == 1

    async def put_whole(self, *, content_type: str) -> None:
        """Store an object that fits one part. Raises what the storage raises."""
        await self._hash(self._part)
        part = self._part
        await self._run(
            self._storage.put(
                self._begun.key, part.reader(), content_type=content_type, size_bytes=part.size_bytes
            )
        )
        self.raise_failure()

    async def finish(self) -> Durable:
        """Send the last part. Raises what the storage raises for any of them."""
        if self._part.size_bytes:
            await self._send_part()
        await self._wait_for_sends()
        self.raise_failure()
        return self.durable()

    async def close(self) -> None:
        """Let go of all memory; what is on its way is waited for."""
        self._part.release()
        await self._wait_for_sends()

    async def _take(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            if self._part.size_bytes == self._begun.part_size_bytes:
                # Only now, when more follows: an object of exactly one part is one put.
                await self._send_part()
            taken = rest[: self._begun.part_size_bytes - self._part.size_bytes]
            if not self._part.take(taken):
                await self._spill(taken)
            rest = rest[len(taken) :]

    async def _spill(self, data: memoryview) -> None:
        part = self._part
        await self._storage.run(lambda: part.spill(data))
        part.spilled(len(data))

    async def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = await self._create_upload()
        await self._slots.acquire()
        self.raise_failure()
        part, self._part = self._part, GrowingPart(self._memory, self._digest)  # type: ignore[arg-type]
        number, self._next_number = self._next_number, self._next_number + 1
        self._sends.append(asyncio.create_task(self._run(self._put_part(self._upload_id, number, part))))
        await self._hash(part)

    async def _put_part(self, upload_id: str, number: int, part: GrowingPart) -> None:
        try:
            self._new_parts[number] = await self._storage.put_part(
                self._begun.key, upload_id, number, part.reader(), size_bytes=part.size_bytes
            )
            reach("resumable.part")
        finally:
            part.release()
            self._slots.release()

    async def _run(self, work: Coroutine[None, None, None]) -> None:
        """Keep a failure for whoever waits: in the midst of many sends nobody could raise it."""
        try:
            await work
        except ObjectNotFoundError:
            self._failure = self._failure or UploadLostError()
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits
            self._failure = self._failure or error

    def raise_failure(self) -> None:
        """Raise what kept bytes from becoming durable."""
        if self._failure is not None:
            raise self._failure

    async def _wait_for_sends(self) -> None:
        await asyncio.shield(asyncio.gather(*self._sends))

    def _contiguous_parts(self) -> list[PartReceipt]:
        parts, number = [], len(self._begun.parts) + 1
        while (receipt := self._new_parts.get(number)) is not None:
            parts.append(receipt)
            number += 1
        return parts

    def _parts_bytes(self, new_parts: Sequence[PartReceipt]) -> int:
        return sum(part.size_bytes for part in (*self._begun.parts, *new_parts))

    async def _hash(self, part: GrowingPart) -> None:
        unhashed = part.unhashed
        if len(unhashed) <= HASH_INLINE_BYTES:
            self._digest.update(unhashed)
        else:
            await self._storage.run(lambda: self._digest.update(unhashed))


class _NoDigest:
    """In place of a digest that could not be of the whole."""

    def update(self, data: object) -> None: ...

    def hexdigest(self) -> None:
        return None
