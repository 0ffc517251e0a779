"""The sweeper takes what nobody owns, and only that."""

from datetime import timedelta

from media_service.models import new_id
from media_service.storage.keys import original_key, rendition_key
from media_service.tables import UploadSession
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, add_session
from tests.support.workshop import Workshop
from workers.jobs.sweep import Swept, sweep

PART_BYTES = 5 * 1024 * 1024
NOW, HOUR = timedelta(seconds=-5), timedelta(hours=1)
"""Graces: everything counts as old (clocks of storages may lag a little), or nothing does."""
NOTHING = Swept(sessions=0, uploads=0, objects=0)


def begin_upload(backend: Backend, key: str) -> str:
    upload_id = backend.storage.create_upload(key, content_type="image/jpeg", part_size_bytes=PART_BYTES)
    backend.storage.put_part(key, upload_id, 1, b"some bytes")
    return upload_id


def open_uploads(backend: Backend) -> set[str]:
    return {upload.upload_id for upload in backend.storage.list_uploads()}


def test_sweep_of_a_tidy_service_takes_nothing(clean_backend: Backend, owner: Owner, workshop: Workshop):
    _, job = add_image(clean_backend, owner)
    workshop.run(job.id)
    keys = clean_backend.keys()
    assert sweep(clean_backend.database, clean_backend.storage, grace=NOW) == NOTHING
    assert clean_backend.keys() == keys


def test_upload_whose_process_died_is_taken_with_its_parts(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    key = original_key(session_id)
    upload_id = begin_upload(clean_backend, key)
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    swept = sweep(clean_backend.database, clean_backend.storage, grace=HOUR)
    assert swept.sessions == 1
    assert clean_backend.leftovers() == {}


def test_upload_that_died_between_its_last_byte_and_the_commit_is_taken(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert sweep(clean_backend.database, clean_backend.storage, grace=HOUR).sessions == 1
    assert clean_backend.leftovers() == {}


def test_living_upload_is_spared_however_old_it_is(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    upload_id = begin_upload(clean_backend, original_key(session_id))
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    assert sweep(clean_backend.database, clean_backend.storage, grace=NOW) == NOTHING
    assert open_uploads(clean_backend) == {upload_id}
    assert [row.id for row in clean_backend.rows(UploadSession)] == [session_id]


def test_upload_that_no_session_knows_is_taken_after_the_grace(clean_backend: Backend):
    upload_id = begin_upload(clean_backend, original_key(new_id()))
    if not clean_backend.is_s3:  # moto says of every upload that it began in 2010
        assert sweep(clean_backend.database, clean_backend.storage, grace=HOUR) == NOTHING
        assert open_uploads(clean_backend) == {upload_id}
    assert sweep(clean_backend.database, clean_backend.storage, grace=NOW).uploads == 1
    assert open_uploads(clean_backend) == set()


def test_object_without_a_file_is_taken_after_the_grace(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    orphans = {
        original_key(new_id()),
        rendition_key(new_id(), recipe="0" * 16, sha256="1" * 64),
    }
    for key in orphans:
        clean_backend.storage.put(key, b"nobody's", content_type="text/plain")
    assert sweep(clean_backend.database, clean_backend.storage, grace=HOUR) == NOTHING
    assert orphans < clean_backend.keys()
    assert sweep(clean_backend.database, clean_backend.storage, grace=NOW).objects == 2
    assert clean_backend.keys() == {original_key(file.id)}


def test_object_of_a_living_session_is_spared(clean_backend: Backend, owner: Owner):
    # Completed in the storage, and its commit is on its way; S3 dates it from the start of the upload.
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert sweep(clean_backend.database, clean_backend.storage, grace=NOW) == NOTHING
    assert clean_backend.keys() == {original_key(session_id)}
