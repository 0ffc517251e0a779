"""Files whose bytes did not pass through the API are hashed before they are ready."""

import hashlib
import os

import pytest

from media_service.files.lifecycle import FileStatus, Visibility
from media_service.files.processing import process_again
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.models import new_id
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key
from media_service.tables import Event, File, Job
from media_service.uploads.registration import ReceivedFile, insert_files, new_file, processing_job
from tests.support import images
from tests.support.backends import Backend, Owner
from tests.support.job_rows import change_job, claimed_by_a_dead_worker
from tests.support.storages import HookedStorage, RaisingStorage
from tests.support.workshop import Workshop

DATA = os.urandom(3 * 1024 * 1024 + 1)
SHA256 = hashlib.sha256(DATA).hexdigest()


def add_unhashed(
    backend: Backend,
    owner: Owner,
    data: bytes = DATA,
    *,
    type_: str = "text/plain",
    sha256: str | None = None,
) -> tuple[File, Job]:
    received = ReceivedFile(new_id(), "a", type_, len(data), sha256=None, announced_sha256=sha256)
    backend.storage.put(original_key(received.id), data, content_type=type_)
    file = new_file(received, owner_id=owner.id, visibility=Visibility.PRIVATE, tags=[], custom={})
    job = processing_job(file, announced_sha256=sha256, max_attempts=20, will_ring=False)
    with backend.database.transaction() as session:
        insert_files(session, [file], [job])
    return file, job


@pytest.mark.parametrize("announced", [None, SHA256])
def test_file_is_ready_when_it_is_hashed(
    clean_backend: Backend, owner: Owner, workshop: Workshop, announced: str | None
):
    file, job = add_unhashed(clean_backend, owner, sha256=announced)
    assert file.status is FileStatus.PROCESSING
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    [row] = clean_backend.rows(File)
    assert (row.status, row.sha256) == (FileStatus.READY, SHA256)
    assert [event.type for event in clean_backend.rows(Event)] == ["file.created", "file.ready"]


def test_image_is_processed_after_it_is_hashed(clean_backend: Backend, owner: Owner, workshop: Workshop):
    data = images.jpeg(64, 48)
    add_unhashed(clean_backend, owner, data, type_="image/jpeg")
    workshop.run_all()
    [row] = clean_backend.rows(File)
    assert (row.status, row.sha256) == (FileStatus.PROCESSING, hashlib.sha256(data).hexdigest())
    [job] = workshop.run_all()
    assert (job.kind, job.status) == (JobKind.PROCESS_FILE, JobStatus.SUCCEEDED)
    assert clean_backend.rows(File)[0].status is FileStatus.READY


def test_other_digest_than_announced_fails_job_and_file(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    _, job = add_unhashed(clean_backend, owner, sha256="0" * 64)
    assert (workshop.run(job.id).status, workshop.run(job.id).attempts) == (JobStatus.FAILED, 1)
    [row] = clean_backend.rows(File)
    assert (row.status, row.status_code, row.sha256) == (FileStatus.FAILED, "digest-mismatch", None)
    assert clean_backend.rows(Event)[-1].type == "file.failed"


def test_storage_that_is_away_is_waited_for(clean_backend: Backend, owner: Owner, workshop: Workshop):
    _, job = add_unhashed(clean_backend, owner)
    with workshop.with_storage(
        RaisingStorage(clean_backend.storage, "open", error=StorageUnavailableError())
    ):
        row = workshop.run(job.id)
    assert (row.status, row.deferrals) == (JobStatus.QUEUED, 1)
    assert clean_backend.rows(File)[0].status is FileStatus.PROCESSING


def test_worker_that_was_fenced_out_publishes_nothing(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    _, job = add_unhashed(clean_backend, owner)
    stolen = HookedStorage(
        clean_backend.storage, "open", lambda: claimed_by_a_dead_worker(clean_backend, job.id)
    )
    with workshop.with_storage(stolen):
        workshop.run(job.id)
    assert clean_backend.rows(File)[0].sha256 is None
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    assert clean_backend.rows(File)[0].sha256 == SHA256


def test_image_that_is_not_hashed_is_never_made_ready_by_its_processing(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file, hashing = add_unhashed(clean_backend, owner, images.jpeg(64, 48), type_="image/jpeg")
    early = process_again(file, None, max_attempts=20, will_ring=False)
    with clean_backend.database.transaction() as session:
        session.add(early)
    row = workshop.run(early.id)
    assert (row.status, row.deferrals, row.error_code) == (JobStatus.QUEUED, 1, "not-hashed")
    assert clean_backend.rows(File)[0].status is FileStatus.PROCESSING
    workshop.run(hashing.id)
    change_job(clean_backend, early.id, run_after_ms=0)
    assert workshop.run(early.id).status is JobStatus.SUCCEEDED
    [ready] = clean_backend.rows(File)
    assert ready.status is FileStatus.READY
    assert ready.sha256 is not None
