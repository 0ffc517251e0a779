"""Writes down how far a held session is. API room.

Every change is a compare-and-set under the fence of its lock: a request that lost its lock is told so by the
first change that it tries, and nothing of it counts.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session

from media_service.database import Database
from media_service.exceptions import MediaServiceError
from media_service.models import new_id
from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key, tail_key
from media_service.storage.port import PartReceipt
from media_service.storage.resumable_writer import Begun, Durable
from media_service.uploads.models import UploadSession
from media_service.uploads.resumable import queries, reservations
from media_service.uploads.resumable.errors import upload_taken_over
from media_service.uploads.resumable.locks import HeldLock

log = structlog.get_logger(__name__)


class Ledger:
    """The rows of one session, for as long as its lock is held."""

    def __init__(
        self, database: Database, storage: AsyncStorage, lock: HeldLock, *, lifetime: timedelta
    ) -> None:
        self._database = database
        self._storage = storage
        self._lock = lock
        self._lifetime = lifetime

    @property
    def row(self) -> UploadSession:
        return self._lock.row

    async def read_parts(self) -> list[PartReceipt]:
        async with self._database.read() as session:
            rows = await session.scalars(queries.parts_of(self.row.id))
            return [PartReceipt(row.number, row.size_bytes, row.etag) for row in rows]

    async def set(self, **values: Any) -> None:
        """Change columns. Raises MediaServiceError (conflict) if the lock is lost."""
        await self._database.run_transaction(lambda session: self.change(session, values, ()))

    def change(self, session: Session, values: dict[str, Any], new_parts: tuple[PartReceipt, ...]) -> None:
        """The same inside of somebody's transaction, with the parts that are new."""
        statement = queries.change(
            self.row.id,
            fence=self._lock.fence,
            lifetime=self._lifetime,
            values=values or {"fence": self.row.fence},
        )
        row = session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()
        if row is None:
            self._lock.stop.set()
            raise upload_taken_over()
        if new_parts:
            session.execute(queries.insert_parts(row.id, new_parts))
        session.expunge(row)
        self._lock.row = row

    async def confirm(self, durable: Durable, **more: Any) -> None:
        """Let the offset be what is durable, with whatever else changes along."""
        old_tail = self.row.tail_key
        values = {"offset_bytes": durable.offset_bytes, "tail_key": durable.tail_key, **more}
        parts = tuple(durable.new_parts)

        def change(session: Session) -> None:
            # A length that is known was reserved at once; one that is not, grows in steps.
            reserved: dict[str, Any] = {}
            if durable.offset_bytes > self.row.reserved_bytes:
                reserved = reservations.cover(session, self.row, size_bytes=durable.offset_bytes)
            self.change(session, {**values, **reserved}, parts)

        await self._database.run_transaction(change)
        if old_tail not in {None, durable.tail_key}:
            await self.drop_object(old_tail)

    async def begin(self, *, content_type: str) -> str:
        """Begin the multipart upload of a session that outgrew its first part."""
        assert self.row.file_id is not None  # noqa: S101 - given at creation
        assert self.row.part_size_bytes is not None  # noqa: S101 - given at creation
        upload_id = await self._storage.create_upload(
            original_key(self.row.file_id),
            content_type=content_type,
            part_size_bytes=self.row.part_size_bytes,
        )
        await self.set(storage_upload_id=upload_id)
        return upload_id

    async def mend(self) -> None:
        """After a holder that went away without a word: leave everything that it may still write to.

        Confirmed parts are taken along; what it sends late goes to an upload, or a key, that nobody reads.
        """
        row = self.row
        if not row.is_torn or row.is_sealed or row.is_finished:
            return  # sealed: whoever completes it makes the same object
        file_id, values = new_id(), dict[str, Any]()
        parts = await self.read_parts()
        if row.storage_upload_id is not None and row.file_id is not None and row.part_size_bytes is not None:
            forked = await self._storage.fork_upload(
                original_key(row.file_id),
                row.storage_upload_id,
                parts,
                new_key=original_key(file_id),
                part_size_bytes=row.part_size_bytes,
            )
            parts, values = list(forked.parts), {"storage_upload_id": forked.upload_id}
        values |= {"file_id": file_id, "is_torn": False}

        def replace(session: Session) -> None:
            self.change(session, values, ())
            session.execute(queries.delete_parts(row.id))
            if parts:
                session.execute(queries.insert_parts(row.id, parts))

        await self._database.run_transaction(replace)
        if row.file_id is not None and row.storage_upload_id is not None:
            await self._storage.abort_upload(original_key(row.file_id), row.storage_upload_id)
            await self._storage.delete([original_key(row.file_id)])

    async def begun(self) -> Begun:
        """Where to go on."""
        row = self.row
        assert row.file_id is not None  # noqa: S101 - given at creation
        assert row.part_size_bytes is not None  # noqa: S101 - given at creation
        return Begun(
            key=original_key(row.file_id),
            upload_id=row.storage_upload_id,
            parts=await self.read_parts(),
            part_size_bytes=row.part_size_bytes,
            tail_key=row.tail_key,
            offset_bytes=row.offset_bytes,
        )

    def new_tail_key(self) -> str:
        return tail_key(self.row.id, uuid4())

    async def remove(self) -> None:
        """Delete the session, then its bytes; what is not reached is the sweeper's.

        A file that it has become stays.
        """
        row = self.row

        def delete(session: Session) -> UUID | None:
            return session.scalars(queries.delete_held(row.id, fence=self._lock.fence)).one_or_none()

        if await self._database.run_transaction(delete) is None:
            raise upload_taken_over()
        self._lock.is_gone = True
        if row.file_id is not None and (row.is_partial or not row.is_finished):
            if row.storage_upload_id is not None:
                await self._storage.abort_upload(original_key(row.file_id), row.storage_upload_id)
            await self._storage.delete([original_key(row.file_id)])
        await self.drop_object(row.tail_key)

    async def drop_object(self, key: str | None) -> None:
        """What cannot be deleted now is the sweeper's."""
        if key is None:
            return
        try:
            await self._storage.delete([key])
        except MediaServiceError as error:
            log.warning("upload.tail_left_to_sweeper", code=error.code)
