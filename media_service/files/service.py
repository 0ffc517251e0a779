"""Files as records: list, describe, change, delete, process again. API room."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.broker.messages import Lane
from media_service.database import Database
from media_service.events.models import EventType, event
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files import queries
from media_service.files.access import checked_owner
from media_service.files.lifecycle import FileStatus, Visibility
from media_service.files.models import File, Rendition
from media_service.files.ordering import FileOrder
from media_service.files.presentation import names_version, record_etag
from media_service.files.processing import can_be_processed, process_again
from media_service.files.queries import FileFilter
from media_service.files.search import INSERT_TERMS, delete_terms, term_rows
from media_service.jobs.creation import lane_of, new_job
from media_service.jobs.doorbell import Bell
from media_service.jobs.models import Job, JobKind
from media_service.models import utc_now
from media_service.pagination import cut_page, decode_cursor
from media_service.quotas.queries import charge, touch
from media_service.transforms.spec import Preset


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and where the next one begins."""

    files: list[File]
    next_cursor: str | None


class FileService:
    """Each method is one short transaction, run again after a deadlock. "Not yours" is "not there"."""

    def __init__(
        self, *, database: Database, bell: Bell, presets: Sequence[Preset], job_max_attempts: int
    ) -> None:
        self._database = database
        self._bell = bell
        self._preset_names = [preset.name for preset in presets]
        self._job_max_attempts = job_max_attempts

    async def list_page(
        self, caller: Caller, wanted: FileFilter, *, order: FileOrder, cursor: str | None, limit: int
    ) -> Page:
        """A page of the caller's files; an admin sees everybody's. Raises MediaServiceError (bad cursor)."""
        after = decode_cursor(cursor)
        if not caller.is_admin:
            wanted = replace(wanted, owner_id=caller.owner_id)
        statement = queries.list_files(wanted, order=order, after=after, limit=limit + 1)
        async with self._database.read() as session:
            files = list(await session.scalars(statement))
        return Page(*cut_page(files, limit, order.cursor_after))

    async def get(self, file_id: UUID, caller: Caller) -> File:
        """A file with its renditions. Raises MediaServiceError (not found)."""
        file = await self._database.run_read(
            lambda session: session.scalars(queries.file_by_id(file_id)).one_or_none()
        )
        return checked_owner(file, caller)

    async def change(
        self, file_id: UUID, caller: Caller, changes: dict[str, Any], *, if_match: str | None
    ) -> File:
        """Change a record and return it.

        When a public file turns private, the URLs end that the service signed for it.
        Raises MediaServiceError: not found, precondition failed (If-Match), conflict (changed meanwhile).
        """

        def write(session: Session) -> File:
            found = session.scalars(queries.file_by_id(file_id).with_for_update(of=File))
            file = checked_owner(found.one_or_none(), caller)
            _check_if_match(file, if_match)
            if not changes:
                return file
            statement = queries.change_file(
                file_id,
                version=file.version,
                at=utc_now(),
                changes=changes,
                ends_urls=_hides(file, changes),
            )
            if session.execute(statement).first() is None:
                raise _changed_meanwhile()
            session.refresh(file)
            if changes.keys() & {"filename", "tags"}:
                session.execute(delete_terms(file_id))
                if rows := term_rows(file):
                    session.execute(INSERT_TERMS, rows)
            session.execute(*touch(file.owner_id))
            return file

        return await self._database.run_transaction(write)

    async def delete(self, file_id: UUID, caller: Caller, *, if_match: str | None) -> None:
        """Delete a file; a job removes its bytes, so they go even if this process dies now."""
        will_ring = self._bell.has_room(Lane.HOUSEKEEPING)

        def write(session: Session) -> Job:
            file = checked_owner(session.scalars(queries.file_for_change(file_id)).one_or_none(), caller)
            _check_if_match(file, if_match)
            deleted = session.execute(queries.delete_file(file_id, version=file.version).returning(File.id))
            if deleted.first() is None:
                raise _changed_meanwhile()
            job = new_job(
                JobKind.PURGE_FILE,
                owner_id=file.owner_id,
                file_id=None,
                payload={"file_id": str(file_id)},
                max_attempts=self._job_max_attempts,
                will_ring=will_ring,
            )
            session.add_all([job, event(EventType.FILE_DELETED, owner_id=file.owner_id, file_id=file_id)])
            session.flush()
            session.execute(*charge(file.owner_id, size_bytes=-file.size_bytes, files=-1))
            return job

        # A worker that publishes holds its job and waits for the file; this waits for the job, which goes
        # with the file: PostgreSQL ends one of the two.
        self._ring(await self._database.run_transaction(write), will_ring=will_ring)

    async def renditions(self, file_id: UUID, caller: Caller) -> list[Rendition]:
        """The renditions that a file has now. Raises MediaServiceError (not found)."""
        return (await self.get(file_id, caller)).renditions

    async def process(self, file_id: UUID, caller: Caller, names: Sequence[str] | None) -> Job:
        """Make presets again, all or those named. Raises MediaServiceError (not found, unprocessable)."""
        unknown = sorted(set(names or ()) - set(self._preset_names))
        if unknown:
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE,
                "unknown-preset",
                f"There is no preset named {', '.join(unknown)}.",
                presets=self._preset_names,
            )
        will_ring = self._bell.has_room(Lane.UPLOADS)

        def write(session: Session) -> Job:
            file = checked_owner(session.scalars(queries.file_for_change(file_id)).one_or_none(), caller)
            if not can_be_processed(file):
                raise MediaServiceError(
                    ErrorKind.UNPROCESSABLE,
                    "not-an-image",
                    f"A file of the type {file.content_type} has no renditions.",
                )
            had_failed = file.status is FileStatus.FAILED
            job = process_again(file, names, max_attempts=self._job_max_attempts, will_ring=will_ring)
            session.add(job)
            if had_failed:
                session.execute(queries.set_status(file_id, status=FileStatus.PROCESSING, at=utc_now()))
                session.add(event(EventType.FILE_PROCESSING, owner_id=file.owner_id, file_id=file_id))
            session.flush()
            session.refresh(job)
            if had_failed:
                session.execute(*touch(file.owner_id))
            return job

        job = await self._database.run_transaction(write)
        self._ring(job, will_ring=will_ring)
        return job

    async def revoke_urls(self, file_id: UUID, caller: Caller) -> None:
        """End every URL of the file that the service signed. Raises MediaServiceError (not found)."""

        def write(session: Session) -> None:
            file = checked_owner(session.scalars(queries.file_for_change(file_id)).one_or_none(), caller)
            session.execute(queries.raise_url_epoch(file_id))
            session.execute(*touch(file.owner_id))

        await self._database.run_transaction(write)

    def _ring(self, job: Job, *, will_ring: bool) -> None:
        if will_ring:
            self._bell.ring(job.id, lane_of(job))


def _check_if_match(file: File, if_match: str | None) -> None:
    """RFC 9110 §13.1.1 against the record's tag (its version), by strong comparison."""
    if if_match is None or if_match.strip() == "*":
        return
    if not any(names_version(tag.strip(), file.version) for tag in if_match.split(",")):
        raise MediaServiceError(
            ErrorKind.PRECONDITION_FAILED,
            "precondition-failed",
            "The record was changed since it was read.",
            etag=record_etag(file.version),
        )


def _hides(file: File, changes: dict[str, Any]) -> bool:
    return file.visibility is Visibility.PUBLIC and changes.get("visibility") == Visibility.PRIVATE


def _changed_meanwhile() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.CONFLICT, "record-changed", "The record was changed meanwhile; read it again and repeat."
    )
