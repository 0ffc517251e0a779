"""Makes files of durable bytes: the end of every upload, by whatever protocol it came. API room."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from sqlalchemy.orm import Session

from media_service.auth.lost_owner import needing_owner
from media_service.auth.scopes import Caller
from media_service.broker.messages import Lane
from media_service.database import Database, aftermath
from media_service.dialects import is_unavailable
from media_service.faultpoints import reach
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File
from media_service.files.queries import known_file_ids
from media_service.files.schemas import FileFields
from media_service.jobs.creation import lane_of
from media_service.jobs.doorbell import Bell
from media_service.jobs.models import Job
from media_service.quotas.reservations import charge
from media_service.quotas.turns import OwnerTurns
from media_service.storage.exceptions import UploadLostError
from media_service.uploads import queries
from media_service.uploads.grants import granted_visibility, use_grant
from media_service.uploads.registration import ReceivedFile, insert_files, new_file, processing_job
from media_service.uploads.sessions import UploadSessions

log = structlog.get_logger(__name__)


class StoredFiles(Protocol):
    """Files whose bytes are durable, and a way to remove those bytes, which does nothing to a file."""

    received: list[ReceivedFile]

    async def discard(self) -> None: ...


Complete = Callable[[Session, StoredFiles, FileFields], None]
"""Does what else belongs into the transaction that makes the files."""


class Finalizer:
    """One transaction: files, their words, jobs and events, the end of their sessions, and the quota."""

    def __init__(
        self,
        *,
        database: Database,
        sessions: UploadSessions,
        bell: Bell,
        job_max_attempts: int,
        turns: OwnerTurns,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._bell = bell
        self._turns = turns
        self._job_max_attempts = job_max_attempts

    async def finalize(
        self, caller: Caller, batch: StoredFiles, fields: FileFields, complete: Complete | None
    ) -> list[File]:
        """Make files of stored bytes, and ring for their jobs; if that fails, the bytes are removed."""
        will_ring = self._bell.has_room(Lane.UPLOADS)
        files = [
            new_file(
                received,
                owner_id=caller.owner_id,
                visibility=granted_visibility(fields.visibility, caller.upload_token),
                tags=fields.tags,
                custom=fields.custom,
            )
            for received in batch.received
        ]
        jobs = [
            processing_job(
                file,
                announced_sha256=received.announced_sha256,
                max_attempts=self._job_max_attempts,
                will_ring=will_ring,
            )
            for file, received in zip(files, batch.received, strict=True)
            if file.status is FileStatus.PROCESSING
        ]
        reach("upload.stored")

        # Shielded: a shutdown must not cut the look that follows a commit of unknown outcome.
        def also(session: Session) -> None:
            if complete is not None:
                complete(session, batch, fields)
            use_grant(session, caller, files=len(files))

        await asyncio.shield(self._commit_or_discard(batch, files, jobs, also))
        reach("upload.committed")
        for job in jobs if will_ring else []:
            self._bell.ring(job.id, lane_of(job))
        for file in files:
            log.info(
                "upload.finalized",
                file_id=str(file.id),
                size_bytes=file.size_bytes,
                content_type=file.content_type,
            )
        return files

    async def _commit_or_discard(
        self, batch: StoredFiles, files: list[File], jobs: list[Job], also: Callable[[Session], None]
    ) -> None:
        try:
            await self._commit(files, jobs, also)
        except Exception as error:
            if not is_unavailable(error):
                await batch.discard()  # refused by the transaction itself, so it was rolled back
                raise
            # The connection may have died after the commit took effect, or the commit may still be on its way
            # in a database that is slow. What is seen is there; what is not seen may come yet, so nothing is
            # deleted: the sweeper will know later what no row owns.
            if not await self._exist(files):
                raise
            log.info("upload.commit_confirmed", error=type(error).__name__)
        finally:
            self._sessions.forget([file.id for file in files])

    async def _commit(self, files: list[File], jobs: list[Job], also: Callable[[Session], None]) -> None:
        ids = [file.id for file in files]
        opened = self._sessions.opened(ids)

        def insert_all(session: Session) -> None:
            insert_files(session, files, jobs)
            if opened:
                kept = session.scalars(queries.delete_sessions(opened)).all()
                if len(kept) < len(opened):
                    raise UploadLostError
            also(session)
            charge(
                session,
                files[0].owner_id,
                size_bytes=sum(file.size_bytes for file in files),
                files=len(files),
            )

        with needing_owner():
            async with self._turns.of(files[0].owner_id):
                await self._database.run_transaction(insert_all)

    async def _exist(self, files: list[File]) -> bool:
        async with aftermath(), self._database.read() as session:
            known = await session.scalars(known_file_ids([file.id for file in files]))
            return len(list(known)) == len(files)
