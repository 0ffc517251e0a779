"""One request's bytes, from its body to a confirmed offset, or to the whole file. API room.

Built for one request that holds the lock of its session. Whatever ends the body early, what has arrived is
made durable and confirmed before the lock is given back; the next request goes on behind it.
"""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.storage.aio import AsyncStorage
from media_service.storage.resumable_writer import ResumableWriter
from media_service.storage.upload_memory import UploadMemory
from media_service.uploads.grants import narrowed
from media_service.uploads.models import UploadSession
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.resumable.bodies import BodyBrokenError, until_asked_to_stop
from media_service.uploads.resumable.checksums import Checksum
from media_service.uploads.resumable.completion import Completion
from media_service.uploads.resumable.errors import beyond_the_length, inconsistent_length
from media_service.uploads.resumable.ledger import Ledger
from media_service.uploads.resumable.locks import HeldLock
from media_service.uploads.resumable.views import Append
from media_service.uploads.sniffing import HEAD_BYTES, UNKNOWN, sniff

CONFIRM_EVERY_SECONDS = 1.0
"""What a process that is killed may cost its clients in bytes sent again; each confirmation is a commit."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every request needs; built once per process."""

    storage: AsyncStorage
    memory: UploadMemory
    policy: UploadPolicy
    completion: Completion


class Appending:
    """Receives the body of one request."""

    def __init__(self, tools: Tools, caller: Caller, lock: HeldLock, ledger: Ledger, append: Append) -> None:
        self._tools = tools
        self._policy = narrowed(tools.policy, caller.upload_token)
        self._caller = caller
        self._lock = lock
        self._ledger = ledger
        self._append = append
        self._head = bytearray()
        self._confirmed_at = asyncio.get_running_loop().time()
        self._checksum = Checksum(*append.checksum) if append.checksum is not None else None

    @property
    def _row(self) -> UploadSession:
        return self._ledger.row

    async def receive(self, chunks: AsyncIterable[bytes]) -> None:
        """Take the body. Raises MediaServiceError for a refusal, or for what ended it early."""
        await self._ledger.mend()
        if self._row.is_sealed:
            await self._finish_sealed()
            return
        writer = ResumableWriter(
            self._tools.storage,
            await self._ledger.begun(),
            memory=self._tools.memory,
            create_upload=self._begin_upload,
        )
        try:
            self._head += await writer.load_tail()
            await self._receive_into(writer, chunks)
        finally:
            await asyncio.shield(writer.close())
            self._lock.is_torn = self._lock.is_torn or writer.is_torn

    async def _finish_sealed(self) -> None:
        """A request before had all bytes, and could not say so."""
        row = self._row
        assert row.content_type is not None  # noqa: S101 - sealed with it
        await self._tools.completion.join(self._ledger)
        await self._tools.completion.commit(
            self._ledger,
            self._caller,
            content_type=row.content_type,
            length_bytes=row.offset_bytes,
            sha256=None,
        )

    async def _receive_into(self, writer: ResumableWriter, chunks: AsyncIterable[bytes]) -> None:
        try:
            async for chunk in until_asked_to_stop(chunks, self._lock):
                self._look_at(chunk, writer.received_bytes)
                await writer.write(chunk)
                await self._confirm_now_and_then(writer)
        except BodyBrokenError as error:
            await asyncio.shield(self._keep(writer))
            raise error.reason from None
        except MediaServiceError as error:
            await asyncio.shield(self._end_early(writer, error))
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._keep(writer))
            raise
        await asyncio.shield(self._end(writer))

    def _look_at(self, chunk: bytes, received_bytes: int) -> None:
        """Judge bytes before they are written. Raises MediaServiceError."""
        length_bytes, so_far = self._row.length_bytes, received_bytes + len(chunk)
        if length_bytes is not None and so_far > length_bytes:
            raise beyond_the_length(length_bytes)
        self._policy.check_size(so_far)
        if self._checksum is not None:
            self._checksum.update(chunk)
        if self._row.content_type is None and len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                self._sniffed_type()

    def _sniffed_type(self) -> str:
        """The type of the file. Raises MediaServiceError (unsupported type)."""
        if self._row.is_partial:
            return UNKNOWN  # a piece has none; the whole is judged when it is joined
        if self._row.content_type is not None:
            return self._row.content_type
        content_type = sniff(bytes(self._head))
        self._policy.check_type(content_type)
        return content_type

    async def _begin_upload(self) -> str:
        return await self._ledger.begin(content_type=self._sniffed_type())

    async def _confirm_now_and_then(self, writer: ResumableWriter) -> None:
        now = asyncio.get_running_loop().time()
        if self._checksum is not None or now - self._confirmed_at < CONFIRM_EVERY_SECONDS:
            return
        self._confirmed_at = now
        durable = writer.durable()
        if durable.offset_bytes > self._row.offset_bytes:
            await self._ledger.confirm(durable, **self._known_type())
            writer.confirmed(durable)

    def _known_type(self) -> dict[str, str]:
        """To be written down with the first offset beyond the head."""
        has_head = len(self._head) == HEAD_BYTES
        return {"content_type": self._sniffed_type()} if self._row.content_type is None and has_head else {}

    async def _keep(self, writer: ResumableWriter) -> None:
        """Confirm what has arrived. Of a request with a checksum nothing counts."""
        if self._checksum is not None:
            return
        durable = await writer.flush(self._ledger.new_tail_key())
        reach("resumable.flushed")
        if durable.offset_bytes > self._row.offset_bytes:
            await self._ledger.confirm(durable, **self._known_type())

    async def _end_early(self, writer: ResumableWriter, error: MediaServiceError) -> None:
        if error.kind is ErrorKind.UNSUPPORTED_TYPE:
            await self._ledger.remove()  # it can never become a file
        elif error.kind not in {ErrorKind.TOO_LARGE, ErrorKind.QUOTA_EXCEEDED}:
            await self._keep(writer)

    async def _end(self, writer: ResumableWriter) -> None:
        """The body came to its end."""
        if self._checksum is not None:
            self._checksum.check()
        row, received_bytes = self._row, writer.received_bytes
        if self._append.is_last and row.length_bytes not in {None, received_bytes}:
            await self._keep(writer)
            raise inconsistent_length(
                f"The upload has {received_bytes} of {row.length_bytes} bytes, and no more come."
            )
        if received_bytes == row.length_bytes or self._append.is_last:
            await self._complete(writer)
            return
        durable = await writer.flush(self._ledger.new_tail_key())
        if durable.offset_bytes > row.offset_bytes:
            await self._ledger.confirm(durable, **self._known_type())
        writer.raise_failure()

    async def _complete(self, writer: ResumableWriter) -> None:
        try:
            content_type = self._sniffed_type()
        except MediaServiceError:
            await self._ledger.remove()
            raise
        completion = self._tools.completion
        if writer.fits_one_part:
            await writer.put_whole(content_type=content_type)
            reach("resumable.stored")
        else:
            durable = await writer.finish()
            length_bytes = durable.offset_bytes
            await self._ledger.confirm(
                durable, content_type=content_type, length_bytes=length_bytes, is_sealed=True
            )
            writer.confirmed(durable)
            reach("resumable.sealed")
            await completion.join(self._ledger)
        await completion.commit(
            self._ledger,
            self._caller,
            content_type=content_type,
            length_bytes=writer.received_bytes,
            sha256=writer.sha256,
        )
