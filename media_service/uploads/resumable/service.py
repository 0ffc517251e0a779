"""Resumable uploads, whatever protocol speaks of them. API room."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.models import new_id
from media_service.storage.limits import part_size_for
from media_service.uploads.grants import narrowed
from media_service.uploads.models import UploadSession
from media_service.uploads.resumable import queries, reservations
from media_service.uploads.resumable.appending import Appending, Tools
from media_service.uploads.resumable.errors import (
    beyond_the_length,
    final_upload,
    inconsistent_length,
    offset_mismatch,
    upload_expired,
    upload_not_found,
)
from media_service.uploads.resumable.joining import Joining
from media_service.uploads.resumable.ledger import Ledger
from media_service.uploads.resumable.locks import HeldLock, UploadLocks
from media_service.uploads.resumable.views import Append, NewUpload, UploadView

LOOK_PATIENCE = timedelta(seconds=1.5)
"""What a question for the offset waits for the request before it to let go: clients ask right after a
connection broke, and the offset that counts is the one after that request has ended."""


class ResumableUploads:
    """Sessions that live on from one request to the next. Only their owner sees them."""

    def __init__(
        self, *, database: Database, locks: UploadLocks, tools: Tools, joining: Joining, lifetime: timedelta
    ) -> None:
        self._database = database
        self._locks = locks
        self._tools = tools
        self._joining = joining
        self._lifetime = lifetime

    @property
    def max_size_bytes(self) -> int:
        return self._tools.policy.max_file_size_bytes

    async def create(self, caller: Caller, new: NewUpload) -> UploadView:
        """Begin an upload; one of no bytes is finished at once. Raises MediaServiceError for a refusal."""
        self._check_length(caller, new.length_bytes)
        row = self._new_row(caller, new)

        def insert(session: Session) -> None:
            reservations.reserve_at_creation(session, caller, row)
            session.execute(queries.insert_resumable(row, lifetime=self._lifetime))
            reservations.check_grant(session, caller, row)

        await self._database.run_transaction(insert)
        if new.length_bytes == 0:
            return await self.append(caller, row.id, Append(0), _nothing())
        return UploadView.of(await self._find(caller, row.id))

    async def protocol_of(self, caller: Caller, session_id: UUID) -> str:
        """In whose words an upload was begun. Raises MediaServiceError: not found, gone."""
        return (await self._find(caller, session_id)).protocol

    async def look(self, caller: Caller, session_id: UUID) -> UploadView:
        """Where an upload stands, after the request before has ended; one with all its bytes is finished.

        Raises MediaServiceError: not found, gone.
        """
        row = await self._find(caller, session_id)
        if row.holder is not None:
            await self._locks.wait_until_free(session_id, patience=LOOK_PATIENCE)
            row = await self._find(caller, session_id)
        has_all = not row.is_finished and row.offset_bytes == row.length_bytes
        if has_all and row.holder is None:
            # Its last request could not finish it, and its client may take the offset for success.
            return await self.append(caller, session_id, Append(row.offset_bytes), _nothing())
        return UploadView.of(row)

    async def append(
        self, caller: Caller, session_id: UUID, append: Append, chunks: AsyncIterable[bytes]
    ) -> UploadView:
        """Take bytes at the end of an upload. Raises MediaServiceError for a refusal."""
        if (await self._find(caller, session_id)).concat_header not in {None, "partial"}:
            raise final_upload()
        async with self._locks.hold(session_id) as lock:
            ledger = self._ledger(lock)
            self._check(lock.row, append)
            if lock.row.is_finished:
                return UploadView.of(lock.row)
            if append.length_bytes is not None and lock.row.length_bytes is None:
                await self._set_length(caller, ledger, append.length_bytes)
            await Appending(self._tools, caller, lock, ledger, append).receive(chunks)
            return UploadView.of(lock.row)

    async def terminate(self, caller: Caller, session_id: UUID) -> None:
        """End an upload and forget it; the file that a finished one has become stays."""
        await self._find(caller, session_id)
        async with self._locks.hold(session_id) as lock:
            await self._ledger(lock).remove()

    async def join(self, caller: Caller, session_ids: Sequence[UUID], new: NewUpload) -> UploadView:
        """Make one file of finished partial uploads (tus 1.0, concatenation)."""
        rows = [await self._find(caller, session_id) for session_id in session_ids]
        row = self._new_row(caller, new)
        await self._joining.join(caller, rows, row, lifetime=self._lifetime)
        return UploadView.of(await self._find(caller, row.id))

    def _new_row(self, caller: Caller, new: NewUpload) -> UploadSession:
        limits = self._tools.storage.part_limits
        length_bytes = self.max_size_bytes if new.length_bytes is None else new.length_bytes
        return UploadSession(
            id=new_id(),
            owner_id=caller.owner_id,
            protocol=new.protocol,
            reserved_bytes=0,
            reserved_files=0,
            length_bytes=new.length_bytes,
            part_size_bytes=part_size_for(limits, length_bytes=length_bytes),
            announced=new.announced,
            metadata_header=new.metadata_header,
            concat_header=new.concat_header,
            file_id=new_id(),
        )

    async def _find(self, caller: Caller, session_id: UUID) -> UploadSession:
        """A session of this caller. Raises MediaServiceError: not found, gone."""
        found = await self._database.run_read(
            lambda session: session.execute(queries.find(session_id)).one_or_none()
        )
        if found is None:
            raise upload_not_found()
        row, is_over = found
        if row.owner_id != caller.owner_id or not _is_granted(row, caller):
            raise upload_not_found()
        if is_over:
            raise upload_expired()
        return row

    def _ledger(self, lock: HeldLock) -> Ledger:
        return Ledger(self._database, self._tools.storage, lock, lifetime=self._lifetime)

    def _check_length(self, caller: Caller, length_bytes: int | None) -> None:
        if length_bytes is not None:
            narrowed(self._tools.policy, caller.upload_token).check_size(length_bytes)

    def _check(self, row: UploadSession, append: Append) -> None:
        """Refuse before a byte is read what can be refused then."""
        if append.offset_bytes != row.offset_bytes:
            raise offset_mismatch(expected=row.offset_bytes, provided=append.offset_bytes)
        if append.length_bytes is not None and row.length_bytes not in {None, append.length_bytes}:
            raise inconsistent_length(f"The length of this upload is {row.length_bytes} bytes already.")
        length_bytes = row.length_bytes if append.length_bytes is None else append.length_bytes
        if length_bytes is None:
            return
        if length_bytes < row.offset_bytes:
            raise inconsistent_length(f"The upload has {row.offset_bytes} bytes already.")
        if append.declared_bytes is not None and row.offset_bytes + append.declared_bytes > length_bytes:
            raise beyond_the_length(length_bytes)

    async def _set_length(self, caller: Caller, ledger: Ledger, length_bytes: int) -> None:
        self._check_length(caller, length_bytes)

        def change(session: Session) -> None:
            reserved = reservations.cover(session, ledger.row, size_bytes=length_bytes)
            ledger.change(session, {"length_bytes": length_bytes, **reserved}, ())

        await self._database.run_transaction(change)


def _is_granted(row: UploadSession, caller: Caller) -> bool:
    """An upload token is good for the uploads that were begun with it alone."""
    return caller.upload_token is None or row.upload_token_id == caller.upload_token.id


async def _nothing() -> AsyncIterator[bytes]:
    chunks: tuple[bytes, ...] = ()
    for chunk in chunks:
        yield chunk
