"""What makes durable bytes a file: the rows of one transaction. Core room."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from media_service.events.models import Event, EventType, event
from media_service.files.lifecycle import FileStatus, Visibility, kind_of
from media_service.files.models import File
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
    """None if its bytes came in several requests: a worker hashes them before the file is `ready`."""


def is_processed(received: ReceivedFile) -> bool:
    """Whether a worker has something to do with this file."""
    if received.sha256 is None:
        return True
    return received.content_type in PROCESSABLE_TYPES and received.size_bytes > 0


def new_file(
    received: ReceivedFile, *, owner_id: UUID, visibility: Visibility, tags: list[str], custom: dict[str, Any]
) -> File:
    """The record of a received file; `ready` at once if nothing processes its kind."""
    now = utc_now()
    return File(
        id=received.id,
        owner_id=owner_id,
        filename=received.filename,
        content_type=received.content_type,
        size_bytes=received.size_bytes,
        sha256=received.sha256,
        kind=kind_of(received.content_type),
        status=FileStatus.PROCESSING if is_processed(received) else FileStatus.READY,
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


def processing_job(file: File, *, max_attempts: int, will_ring: bool) -> Job:
    """The job that makes all presets of a file."""
    return new_job(
        JobKind.PROCESS_FILE,
        owner_id=file.owner_id,
        file_id=file.id,
        payload={},
        max_attempts=max_attempts,
        will_ring=will_ring,
    )
