"""Files and jobs as an upload would have left them, and ways to change their times."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import update

from media_service.dialects import now_ms
from media_service.files.lifecycle import Visibility
from media_service.jobs.creation import new_job
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.models import new_id
from media_service.quotas.queries import charge
from media_service.storage.keys import original_key
from media_service.tables import File, Job, UploadSession
from media_service.uploads.registration import ReceivedFile, new_events, new_file, processing_job
from media_service.uploads.sniffing import sniff
from tests.support import images
from tests.support.backends import Backend, Owner

SECOND = 1000


def add_image(
    backend: Backend, owner: Owner, data: bytes | None = None, *, max_attempts: int = 20
) -> tuple[File, Job]:
    """A stored image that waits for its job; the job was never sent."""
    data = images.jpeg(320, 240) if data is None else data
    digest = hashlib.sha256(data).hexdigest()
    received = ReceivedFile(new_id(), "photo.jpg", sniff(data), len(data), digest)
    backend.storage.put(original_key(received.id), data, content_type=received.content_type)
    file = new_file(received, owner_id=owner.id, visibility=Visibility.PRIVATE, tags=[], custom={})
    job = processing_job(file, max_attempts=max_attempts, will_ring=False)
    with backend.database.transaction() as session:
        session.add(file)
        session.flush()
        session.add_all([job, *new_events(file)])
        session.flush()
        session.execute(*charge(owner.id, size_bytes=file.size_bytes, files=1))
    return file, job


def add_job(backend: Backend, owner: Owner, *, max_attempts: int = 20, **changes: Any) -> Job:
    """A purge of a file that never was: the cheapest job there is."""
    job = new_job(
        JobKind.PURGE_FILE,
        owner_id=owner.id,
        file_id=None,
        payload={"file_id": str(uuid4())},
        max_attempts=max_attempts,
        will_ring=False,
    )
    for name, value in changes.items():
        setattr(job, name, value)
    with backend.database.transaction() as session:
        session.add(job)
    return job


def get_job(backend: Backend, job_id: UUID) -> Job:
    with backend.database.read() as session:
        return session.get_one(Job, job_id)


def get_file(backend: Backend, file_id: UUID) -> File | None:
    with backend.database.read() as session:
        return session.get(File, file_id)


def let_lease_run_out(backend: Backend, job_id: UUID) -> None:
    """As if the worker had been silent for longer than its lease."""
    change_job(backend, job_id, lease_until_ms=now_ms() - SECOND)


def change_job(backend: Backend, job_id: UUID, **values: Any) -> None:
    with backend.database.transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def claimed_by_a_dead_worker(backend: Backend, job_id: UUID, *, attempts: int = 1) -> None:
    """As a worker leaves a job when it is killed, once its lease is over."""
    change_job(
        backend,
        job_id,
        status=JobStatus.RUNNING,
        attempts=attempts,
        lease_token=uuid4(),
        lease_until_ms=now_ms() - SECOND,
        sent_at_ms=now_ms(),
    )


def add_session(
    backend: Backend, owner: Owner, *, lease: timedelta, storage_upload_id: str | None = None
) -> UUID:
    """The claim of an upload on its way."""
    session_id = new_id()
    with backend.database.transaction() as session:
        session.add(
            UploadSession(
                id=session_id,
                owner_id=owner.id,
                protocol="raw",
                storage_upload_id=storage_upload_id,
                lease_until_ms=now_ms() + int(lease.total_seconds() * 1000),
            )
        )
    return session_id
