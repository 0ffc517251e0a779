"""Receives uploads: bytes first, then one short transaction that makes files of them. API room."""

import asyncio
from collections.abc import AsyncIterable, Mapping

import structlog
from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.broker.messages import Lane
from media_service.database import Database
from media_service.events.models import INSERT_EVENTS
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File
from media_service.files.queries import INSERT_FILES, known_file_ids
from media_service.files.schemas import FileFields
from media_service.files.search import INSERT_TERMS, term_rows
from media_service.jobs.creation import lane_of
from media_service.jobs.doorbell import Bell
from media_service.jobs.models import Job
from media_service.storage.aio import AsyncStorage
from media_service.uploads import queries
from media_service.uploads.batch import Batch
from media_service.uploads.fields import FieldCollector, query_fields
from media_service.uploads.form import Field, FileBegin, FileData, FileEnd, read_form
from media_service.uploads.headers import announced_sha256, declared_length, disposition_filename
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.receiver import Announced, FileReceiver
from media_service.uploads.registration import new_events, new_file, processing_job
from media_service.uploads.schemas import RawUploadQuery
from media_service.uploads.sessions import UploadSessions

log = structlog.get_logger(__name__)


class UploadService:
    """One request's files, as a whole: all of them become files, or nothing stays."""

    def __init__(
        self,
        *,
        database: Database,
        storage: AsyncStorage,
        policy: UploadPolicy,
        sessions: UploadSessions,
        bell: Bell,
        job_max_attempts: int,
    ) -> None:
        self._database = database
        self._storage = storage
        self._policy = policy
        self._sessions = sessions
        self._bell = bell
        self._job_max_attempts = job_max_attempts

    async def receive_form(
        self, caller: Caller, *, headers: Mapping[str, str], chunks: AsyncIterable[bytes]
    ) -> list[File]:
        """Store the files of a multipart/form-data body. Raises MediaServiceError for any refusal."""
        fields = FieldCollector()
        self._policy.check_form_size(declared_length(headers.get("content-length")) or 0)
        async with self._new_batch() as batch:
            async for event in read_form(headers["content-type"], chunks):
                match event:
                    case FileBegin(filename=filename):
                        batch.begin(Announced(caller.owner_id, "form", filename, sha256=fields.take_sha256()))
                    case FileData(data=data):
                        await batch.write(data)
                    case FileEnd():
                        await batch.end()
                    case Field():
                        fields.add(event)
            if not batch.received:
                raise MediaServiceError(
                    ErrorKind.INVALID, "no-file", "The form has no file. With curl: -F file=@photo.jpg"
                )
            file_fields = fields.file_fields()
        return await self._register(caller, batch, file_fields)

    async def receive_raw(
        self,
        caller: Caller,
        query: RawUploadQuery,
        *,
        headers: Mapping[str, str],
        chunks: AsyncIterable[bytes],
    ) -> list[File]:
        """Store a body that is one file. Raises MediaServiceError for any refusal."""
        fields = query_fields(query)
        announced = Announced(
            caller.owner_id,
            "raw",
            query.filename or disposition_filename(headers.get("content-disposition")) or "",
            sha256=announced_sha256(headers.get("repr-digest"), headers.get("content-digest")),
            length_bytes=declared_length(headers.get("content-length")),
        )
        async with self._new_batch() as batch:
            batch.begin(announced)
            async for chunk in chunks:
                await batch.write(chunk)
            await batch.end()
        return await self._register(caller, batch, fields)

    def _new_batch(self) -> Batch:
        def make_receiver(announced: Announced) -> FileReceiver:
            return FileReceiver(
                announced, storage=self._storage, policy=self._policy, sessions=self._sessions
            )

        return Batch(make_receiver, storage=self._storage, sessions=self._sessions)

    async def _register(self, caller: Caller, batch: Batch, fields: FileFields) -> list[File]:
        """Make files of stored bytes, and ring for their jobs."""
        will_ring = self._bell.has_room(Lane.UPLOADS)
        files = [
            new_file(
                received,
                owner_id=caller.owner_id,
                visibility=fields.visibility,
                tags=fields.tags,
                custom=fields.custom,
            )
            for received in batch.received
        ]
        jobs = [
            processing_job(file, max_attempts=self._job_max_attempts, will_ring=will_ring)
            for file in files
            if file.status is FileStatus.PROCESSING
        ]
        reach("upload.stored")
        # Shielded: a shutdown must not cut the look that follows a commit of unknown outcome.
        await asyncio.shield(self._commit_or_discard(batch, files, jobs))
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

    async def _commit_or_discard(self, batch: Batch, files: list[File], jobs: list[Job]) -> None:
        try:
            await self._commit(files, jobs)
        except Exception as error:
            # The connection may have died after the commit took effect: look before anything is deleted.
            # If the database is away altogether, the sweeper will know later what no row owns.
            if not await self._exist(files):
                await batch.discard()
                raise
            log.info("upload.commit_confirmed", error=type(error).__name__)
        finally:
            self._sessions.forget([file.id for file in files])

    async def _commit(self, files: list[File], jobs: list[Job]) -> None:
        ids = [file.id for file in files]
        opened = self._sessions.opened(ids)
        events = [event for file in files for event in new_events(file)]
        terms = [row for file in files for row in term_rows(file)]

        def insert_all(session: Session) -> None:
            # Files and events by plain inserts, which cost a third of the unit of work; a job holds an
            # expression (the database's clock), so it goes the long way.
            session.execute(INSERT_FILES, [file.column_values() for file in files])
            if terms:
                session.execute(INSERT_TERMS, terms)
            session.execute(INSERT_EVENTS, [event.column_values() for event in events])
            session.add_all(jobs)
            if opened:
                kept = session.scalars(queries.delete_sessions(opened)).all()
                if len(kept) < len(opened):
                    raise _interrupted()

        await self._database.run_transaction(insert_all)

    async def _exist(self, files: list[File]) -> bool:
        async with self._database.read() as session:
            known = await session.scalars(known_file_ids([file.id for file in files]))
            return len(list(known)) == len(files)


def _interrupted() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAVAILABLE,
        "upload-interrupted",
        "The service paused for so long that the upload was given up; send it again.",
    )
