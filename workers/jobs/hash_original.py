"""Gives a file its SHA-256 whose bytes came in several requests. Worker room."""

import hashlib

import structlog

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files import queries
from media_service.files.models import File
from workers.jobs.context import JobContext

log = structlog.get_logger(__name__)

READ_BYTES = 1024 * 1024
"""In memory at once, whatever the size of the file."""


def hash_original(file: File, context: JobContext) -> None:
    """Read the original once, and write down its digest. A file that has one is left alone.

    Raises MediaServiceError (damaged) if the storage gives another number of bytes than were uploaded.
    """
    if file.sha256 is not None:
        return
    digest, size_bytes = hashlib.sha256(), 0
    with context.storage.open(file.key) as reader:
        while chunk := reader.read(READ_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    if size_bytes != file.size_bytes:
        log.error("storage.bytes_damaged", key=file.key, size_bytes=size_bytes)
        raise MediaServiceError(
            ErrorKind.DAMAGED, "integrity", "The storage gave other bytes than were uploaded."
        )
    file.sha256 = digest.hexdigest()
    with context.database.transaction() as session:
        session.execute(queries.set_sha256(file.id, sha256=file.sha256))
