"""Computes the SHA-256 of a file whose bytes did not pass through the API. Worker room."""

import hashlib

import structlog

from media_service.events.models import EventType, event
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.files import queries
from media_service.files.access import digest_mismatch
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File
from media_service.files.processing import can_be_processed, process_again
from media_service.jobs import queries as jobs
from media_service.jobs.lifecycle import JobStatus
from media_service.models import utc_now
from media_service.quotas.queries import touch
from media_service.storage.port import Storage
from workers.jobs.context import ClaimedJob, FileGoneError, JobContext, LeaseLostError

log = structlog.get_logger(__name__)

READ_BYTES = 1024 * 1024
"""In memory at once. Larger gains nothing on top of the storage's own buffers."""


def hash_file(job: ClaimedJob, context: JobContext) -> None:
    """Read a file once, note its digest, and let it be processed or be ready. Idempotent.

    Raises MediaServiceError: unprocessable if its uploader announced another digest, and the file then fails;
    damaged if the storage gives another number of bytes than were uploaded.
    """
    file = _load(job, context)
    sha256 = _sha256(context.storage, file)
    if job.payload.get("announced_sha256") not in {None, sha256}:
        raise digest_mismatch(ErrorKind.UNPROCESSABLE)
    reach("hash.computed")
    _publish(job, context, file, sha256)


def _load(job: ClaimedJob, context: JobContext) -> File:
    if job.file_id is None:
        raise FileGoneError
    with context.database.read() as session:
        file = session.scalars(queries.bare_file_by_id(job.file_id)).one_or_none()
    if file is None:
        raise FileGoneError
    return file


def _sha256(storage: Storage, file: File) -> str:
    digest, size_bytes = hashlib.sha256(), 0
    with storage.open(file.key) as reader:
        while chunk := reader.read(READ_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    if size_bytes != file.size_bytes:
        log.error("storage.bytes_damaged", key=file.key, size_bytes=size_bytes)
        raise MediaServiceError(
            ErrorKind.DAMAGED, "integrity", "The storage gave other bytes than were uploaded."
        )
    return digest.hexdigest()


def _publish(job: ClaimedJob, context: JobContext, file: File, sha256: str) -> None:
    now = utc_now()
    with context.database.transaction() as session:
        # The fence comes first: whoever lost the lease must change nothing below.
        ended = jobs.finish(job.id, token=job.token, status=JobStatus.SUCCEEDED, at=now)
        if session.execute(ended).first() is None:
            raise LeaseLostError
        if session.execute(queries.set_sha256(file.id, sha256=sha256, at=now)).first() is None:
            raise FileGoneError
        if can_be_processed(file) and file.size_bytes > 0:
            session.add(process_again(file, None, max_attempts=job.max_attempts, will_ring=False))
        elif file.status is FileStatus.PROCESSING:
            session.execute(queries.set_status(file.id, status=FileStatus.READY, at=now))
            session.add(event(EventType.FILE_READY, owner_id=file.owner_id, file_id=file.id))
        session.flush()
        session.execute(*touch(file.owner_id))
