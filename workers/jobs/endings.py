"""Ends that are no success, and what they mean for the file. Worker room."""

from uuid import UUID

from sqlalchemy.orm import Session

from media_service.blocking_database import Database
from media_service.events.models import EventType, event
from media_service.files import queries as files
from media_service.files.lifecycle import FileStatus, may_become
from media_service.files.models import File
from media_service.jobs import queries as jobs
from media_service.jobs.lifecycle import JobStatus
from media_service.models import utc_now
from media_service.quotas.queries import touch
from workers.jobs.context import ClaimedJob

Reason = tuple[str, str]
"""A code that programs can switch on, and a sentence that a person can act on."""


def end_job(job: ClaimedJob, status: JobStatus, reason: Reason, database: Database) -> None:
    """End a job without success, and its file with it, unless another attempt has taken over."""
    now = utc_now()
    with database.transaction() as session:
        statement = jobs.finish(job.id, token=job.token, status=status, at=now, error=reason)
        if session.execute(statement).first() is not None and job.file_id is not None:
            fail_file(session, job.file_id, reason)


def fail_file(session: Session, file_id: UUID, reason: Reason) -> None:
    """Make a file `failed`, with why; one that is `ready` already stays so."""
    file = session.scalars(files.bare_file_by_id(file_id)).one_or_none()
    if file is None or not _may_fail(file):
        return
    session.execute(files.set_status(file_id, status=FileStatus.FAILED, at=utc_now(), reason=reason))
    session.add(
        event(
            EventType.FILE_FAILED, owner_id=file.owner_id, file_id=file_id, code=reason[0], detail=reason[1]
        )
    )
    session.flush()
    session.execute(*touch(file.owner_id))


def _may_fail(file: File) -> bool:
    return may_become(file.status, FileStatus.FAILED)
