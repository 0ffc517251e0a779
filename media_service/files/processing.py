"""Processing a file that is there once more, asked for by a person or by the sweeper. Core room."""

from collections.abc import Sequence

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.access import check_digest
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File
from media_service.jobs.creation import new_job
from media_service.jobs.models import Job, JobKind
from media_service.transforms.spec import PROCESSABLE_TYPES


def can_be_processed(file: File) -> bool:
    """Whether a file has renditions at all, and may have them."""
    return file.content_type in PROCESSABLE_TYPES and file.status is not FileStatus.QUARANTINED


def check_processable(file: File) -> None:
    """Raises MediaServiceError: unprocessable for no image, conflict while its bytes are not known."""
    check_digest(file)
    if not can_be_processed(file):
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE,
            "not-an-image",
            f"A file of the type {file.content_type} has no renditions.",
        )
    check_hashed(file)


def check_hashed(file: File) -> None:
    """Raises MediaServiceError (conflict): no file is made `ready` before its digest is known."""
    if file.sha256 is None:
        raise MediaServiceError(
            ErrorKind.CONFLICT,
            "not-hashed",
            "The file is not hashed yet; its renditions are made after that.",
        )


def process_again(file: File, names: Sequence[str] | None, *, max_attempts: int, will_ring: bool) -> Job:
    """The job that makes presets of a file again: those named, or all."""
    return new_job(
        JobKind.PROCESS_FILE,
        owner_id=file.owner_id,
        file_id=file.id,
        payload={"renditions": list(names)} if names is not None else {},
        max_attempts=max_attempts,
        will_ring=will_ring,
    )
