"""Resumable uploads that nobody continued, and what they leave."""

import hashlib
import os
from uuid import UUID

from media_service.dialects import now_ms
from media_service.files.lifecycle import FileStatus, Visibility
from media_service.jobs.creation import new_job
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.models import new_id
from media_service.storage.keys import TAILS, original_key, tail_key
from media_service.tables import File, UploadPart, UploadSession
from media_service.uploads.registration import ReceivedFile, new_file
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.sweeping import HOUR, NOW, sweep
from tests.support.workshop import Workshop

PART_BYTES = 5 * 1024 * 1024


def add_resumable(
    backend: Backend, owner: Owner, *, seconds: int, is_finished: bool = False
) -> UploadSession:
    """A session with a part in a multipart upload and a tail, which expires in so many seconds."""
    session_id, file_id = new_id(), new_id()
    storage, key = backend.storage, original_key(file_id)
    upload_id = storage.create_upload(key, content_type="text/plain", part_size_bytes=PART_BYTES)
    part = storage.put_part(key, upload_id, 1, bytes(PART_BYTES))
    tail = tail_key(session_id, new_id())
    storage.put(tail, b"tail", content_type="text/plain")
    row = UploadSession(
        id=session_id,
        owner_id=owner.id,
        protocol="tus",
        storage_upload_id=upload_id,
        lease_until_ms=now_ms() + seconds * 1000,
        offset_bytes=PART_BYTES + 4,
        part_size_bytes=PART_BYTES,
        tail_key=tail,
        announced={"filename": "a", "visibility": "private", "tags": [], "custom": {}},
        file_id=file_id,
        is_finished=is_finished,
    )
    with backend.database.transaction() as session:
        session.add(row)
        session.flush()
        session.add(UploadPart(session_id=session_id, number=1, size_bytes=PART_BYTES, etag=part.etag))
    return row


def tails(backend: Backend) -> list[str]:
    return [found.key for found in backend.storage.list_objects(TAILS)]


def test_expired_upload_is_taken_with_parts_and_tail(clean_backend: Backend, owner: Owner):
    add_resumable(clean_backend, owner, seconds=-1)
    assert sweep(clean_backend, grace=HOUR) == {"abandoned_upload": 1}
    assert clean_backend.leftovers() == {}
    assert (tails(clean_backend), clean_backend.rows(UploadPart)) == ([], [])


def test_upload_that_may_be_continued_is_spared_however_old_its_bytes_are(
    clean_backend: Backend, owner: Owner
):
    row = add_resumable(clean_backend, owner, seconds=3600)
    assert sweep(clean_backend, grace=NOW) == {}
    assert tails(clean_backend) == [row.tail_key]
    assert [upload.upload_id for upload in clean_backend.storage.list_uploads()] == [row.storage_upload_id]


def test_tail_that_was_replaced_is_taken(clean_backend: Backend, owner: Owner):
    row = add_resumable(clean_backend, owner, seconds=3600)
    for session_id in (row.id, new_id()):
        clean_backend.storage.put(tail_key(session_id, new_id()), b"old", content_type="text/plain")
    assert sweep(clean_backend, grace=NOW) == {"unowned_object": 2}
    assert tails(clean_backend) == [row.tail_key]


def test_object_that_waits_for_its_commit_is_spared(clean_backend: Backend, owner: Owner):
    row = add_resumable(clean_backend, owner, seconds=3600)
    assert row.file_id is not None
    clean_backend.storage.put(original_key(row.file_id), b"whole", content_type="text/plain")
    assert sweep(clean_backend, grace=NOW) == {}
    assert clean_backend.read(original_key(row.file_id)) == b"whole"


def test_file_of_a_finished_upload_outlives_its_session(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    row = add_resumable(clean_backend, owner, seconds=-1, is_finished=True)
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, row.id).file_id = file.id
    sweep(clean_backend, grace=HOUR)
    assert clean_backend.rows(UploadSession) == []
    assert clean_backend.keys() >= {file.key}


def test_file_without_a_digest_is_hashed_before_it_is_ready(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    data = os.urandom(3_000_000)
    file = hashless_file(clean_backend, owner, size_bytes=len(data), data=data)
    job = new_job(
        JobKind.HASH_FILE, owner_id=owner.id, file_id=file, payload={}, max_attempts=3, will_ring=False
    )
    job_id = job.id
    with clean_backend.database.transaction() as session:
        session.add(job)
    assert workshop.run(job_id).status is JobStatus.SUCCEEDED
    [row] = clean_backend.rows(File)
    assert (row.status, row.sha256) == (FileStatus.READY, hashlib.sha256(data).hexdigest())
    assert (row.media, row.placeholder) == ({}, None)


def test_file_of_another_size_than_was_uploaded_is_never_hashed(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = hashless_file(clean_backend, owner, size_bytes=5, data=b"hell")
    job = new_job(
        JobKind.HASH_FILE, owner_id=owner.id, file_id=file, payload={}, max_attempts=3, will_ring=False
    )
    job_id = job.id
    with clean_backend.database.transaction() as session:
        session.add(job)
    workshop.run(job_id)
    [row] = clean_backend.rows(File)
    assert (row.status, row.sha256) == (FileStatus.PROCESSING, None)


def hashless_file(backend: Backend, owner: Owner, *, size_bytes: int, data: bytes) -> UUID:
    received = ReceivedFile(new_id(), "a.bin", "application/octet-stream", size_bytes, None)
    file = new_file(received, owner_id=owner.id, visibility=Visibility.PRIVATE, tags=[], custom={})
    assert file.status is FileStatus.PROCESSING
    backend.storage.put(original_key(received.id), data, content_type="application/octet-stream")
    with backend.database.transaction() as session:
        session.add(file)
    return received.id
