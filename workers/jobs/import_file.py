"""Fetches a file from a URL and makes it one of the service's files. Worker room."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from media_service.auth.queries import enabled_user
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import FileStatus, Visibility
from media_service.files.names import clean_name
from media_service.jobs import queries as jobs
from media_service.jobs.lifecycle import JobStatus
from media_service.models import new_id, utc_now
from media_service.quotas.reservations import charge
from media_service.storage.keys import original_key
from media_service.uploads import queries as uploads
from media_service.uploads.claims import claim
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.registration import ReceivedFile, insert_files, new_file, processing_job
from media_service.uploads.sniffing import HEAD_BYTES, sniff
from workers.fetching.fetcher import Fetched
from workers.jobs.context import ClaimedJob, ImportTools, JobContext, LeaseLostError
from workers.jobs.stored_stream import StoredStream

PROTOCOL = "import"

AFTER_FETCH = timedelta(minutes=15)
"""How long the claim on the bytes outlives the time of the fetch: the storage may be slow, too."""


def import_file(job: ClaimedJob, context: JobContext) -> None:
    """Fetch, look at the first bytes, store, and publish file and job at once.

    Raises MediaServiceError for whatever went wrong; then nothing of it stays. Each attempt has an id of its
    own, so one that was taken over can do no harm.
    """
    tools = context.imports
    if tools is None:
        raise MediaServiceError(ErrorKind.FORBIDDEN, "imports-disabled", "Imports are switched off.")
    with tools.fetcher.open(job.payload["url"]) as fetched:
        tools.policy.check_size(fetched.length_bytes or 0)
        file_id = _claim(job, context, tools, fetched.length_bytes)
        try:
            received = _receive(file_id, job.payload, fetched, context, tools.policy)
            _publish(job, context, received)
        except BaseException:
            _discard(file_id, context)
            raise


def _claim(job: ClaimedJob, context: JobContext, tools: ImportTools, size_bytes: int | None) -> UUID:
    """A session that outlives the fetch: if this process dies, the sweeper takes the bytes after that."""
    file_id = new_id()
    lease = tools.fetcher.rules.timeout + AFTER_FETCH
    with context.database.transaction() as session:
        claim(
            session,
            file_id,
            owner_id=job.owner_id,
            protocol=PROTOCOL,
            size_bytes=size_bytes,
            lease=lease,
        )
    return file_id


def _receive(
    file_id: UUID, payload: dict[str, Any], fetched: Fetched, context: JobContext, policy: UploadPolicy
) -> ReceivedFile:
    chunks = _counted(fetched.chunks, policy)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    content_type = sniff(head[:HEAD_BYTES])
    policy.check_type(content_type)
    stream = StoredStream(
        context.storage,
        original_key(file_id),
        content_type=content_type,
        length_bytes=fetched.length_bytes or policy.max_file_size_bytes,
    )
    with stream:
        stream.write(head)
        for chunk in chunks:
            stream.write(chunk)
        stream.finish()
    if payload.get("sha256") not in {None, stream.sha256}:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE, "digest-mismatch", "The bytes that came have not the SHA-256 announced."
        )
    name = clean_name(payload.get("filename") or fetched.filename)
    return ReceivedFile(file_id, name, content_type, stream.size_bytes, stream.sha256)


def _counted(chunks: Iterator[bytes], policy: UploadPolicy) -> Iterator[bytes]:
    size_bytes = 0
    for chunk in chunks:
        size_bytes += len(chunk)
        policy.check_size(size_bytes)
        yield chunk


def _publish(job: ClaimedJob, context: JobContext, received: ReceivedFile) -> None:
    file = new_file(
        received,
        owner_id=job.owner_id,
        visibility=Visibility(job.payload["visibility"]),
        tags=job.payload["tags"],
        custom=job.payload["custom"],
    )
    followers = (
        [processing_job(file, max_attempts=job.max_attempts, will_ring=False)]
        if file.status is FileStatus.PROCESSING
        else []
    )
    with context.database.transaction() as session:
        # The fence comes first: whoever lost the lease must change nothing below.
        ended = jobs.finish(job.id, token=job.token, status=JobStatus.SUCCEEDED, at=utc_now())
        if session.execute(ended).first() is None:
            raise LeaseLostError
        if session.scalars(enabled_user(job.owner_id)).one_or_none() is None:
            raise MediaServiceError(ErrorKind.FORBIDDEN, "user-disabled", "The user was disabled meanwhile.")
        if session.scalars(uploads.delete_sessions([file.id])).one_or_none() is None:
            raise MediaServiceError(
                ErrorKind.UNREACHABLE, "upload-interrupted", "The worker paused for too long."
            )
        insert_files(session, [file], followers)
        session.flush()
        session.execute(jobs.set_file(job.id, file.id))
        charge(session, job.owner_id, size_bytes=file.size_bytes, files=1)


def _discard(file_id: UUID, context: JobContext) -> None:
    """Leave nothing; what fails here is left to the sweeper."""
    with suppress(MediaServiceError):
        with context.database.transaction() as session:
            taken = session.scalars(uploads.delete_sessions([file_id])).one_or_none()
        # Without its session the file may be there: an answer to the commit may have been lost.
        if taken is not None:
            context.storage.delete([original_key(file_id)])
