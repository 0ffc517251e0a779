"""What makes durable bytes a file: the rows of one transaction. Core room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.events.models import INSERT_EVENTS, Event, EventType, event
from media_service.files.lifecycle import FileStatus, Visibility, kind_of
from media_service.files.models import File
from media_service.files.queries import INSERT_FILES
from media_service.files.search import INSERT_TERMS, term_rows
from media_service.jobs.creation import new_job
from media_service.jobs.models import Job, JobKind
from media_service.models import utc_now
from media_service.transforms.spec import PROCESSABLE_TYPES


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file whose bytes are durable and which no row describes yet."""

    id: UUID
    filename: str
    content_type: str
    size_bytes: int
    sha256: str | None
    """None if its bytes did not pass through one request: a worker hashes them before the file is `ready`."""
    announced_sha256: str | None = None
    """What the uploader says it is, where nobody has compared yet."""


def is_processed(received: ReceivedFile) -> bool:
    """Whether a worker has something to do with this file."""
    if received.sha256 is None:
        return True
    return received.content_type in PROCESSABLE_TYPES and received.size_bytes > 0


def new_file(
    received: ReceivedFile, *, owner_id: UUID, visibility: Visibility, tags: list[str], custom: dict[str, Any]
) -> File:
    """The record of a received file; `ready` at once if no worker has anything to do with it."""
    now = utc_now()
    is_ready = received.sha256 is not None and not is_processed(received)
    return File(
        id=received.id,
        owner_id=owner_id,
        filename=received.filename,
        content_type=received.content_type,
        size_bytes=received.size_bytes,
        sha256=received.sha256,
        kind=kind_of(received.content_type),
        status=FileStatus.READY if is_ready else FileStatus.PROCESSING,
        visibility=visibility,
        tags=tags,
        custom=custom,
        media={},
        version=1,
        url_epoch=0,
        created_at=now,
        updated_at=now,
    )


def new_events(file: File) -> list[Event]:
    """What the birth of a file is worth telling."""
    about = {"owner_id": file.owner_id, "file_id": file.id}
    created = event(EventType.FILE_CREATED, **about)
    is_ready = file.status is FileStatus.READY
    return [created, event(EventType.FILE_READY, **about)] if is_ready else [created]


def processing_job(
    file: File, *, announced_sha256: str | None = None, max_attempts: int, will_ring: bool
) -> Job:
    """The job that makes all presets of a file; or the one that hashes it first."""
    is_hashed = file.sha256 is not None
    return new_job(
        JobKind.PROCESS_FILE if is_hashed else JobKind.HASH_FILE,
        owner_id=file.owner_id,
        file_id=file.id,
        payload={} if is_hashed else {"announced_sha256": announced_sha256},
        max_attempts=max_attempts,
        will_ring=will_ring,
    )


def insert_files(session: Session, files: Sequence[File], jobs: Sequence[Job]) -> None:
    """Make rows of files, their words, events and jobs, in the caller's transaction."""
    events = [event for file in files for event in new_events(file)]
    terms = [row for file in files for row in term_rows(file)]
    # Files and events by plain inserts, which cost a third of the unit of work; a job holds an expression
    # (the database's clock), so it goes the long way.
    session.execute(INSERT_FILES, [file.column_values() for file in files])
    if terms:
        session.execute(INSERT_TERMS, terms)
    session.execute(INSERT_EVENTS, [event.column_values() for event in events])
    session.add_all(jobs)
