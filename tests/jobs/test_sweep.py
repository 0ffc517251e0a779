"""The sweeper takes what nobody owns, and only that."""

from datetime import timedelta

import pytest

from media_service.models import new_id
from media_service.storage.keys import original_key, rendition_key
from media_service.tables import UploadSession
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, add_session
from tests.support.workshop import Workshop
from workers.jobs.sweep import Sweeper, Swept

PART_BYTES = 5 * 1024 * 1024
NOW, HOUR = timedelta(seconds=-5), timedelta(hours=1)
"""Graces: everything counts as old (clocks of storages may lag a little), or nothing does."""
NOTHING = Swept(sessions=0, uploads=0, keys=0, objects=0)


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
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round() == NOTHING
    assert clean_backend.keys() == keys


def test_upload_whose_process_died_is_taken_with_its_parts(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    key = original_key(session_id)
    upload_id = begin_upload(clean_backend, key)
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    swept = Sweeper(clean_backend.database, clean_backend.storage, grace=HOUR).run_round()
    assert swept.sessions == 1
    assert clean_backend.leftovers() == {}


def test_upload_that_died_between_its_last_byte_and_the_commit_is_taken(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=HOUR).run_round().sessions == 1
    assert clean_backend.leftovers() == {}


def test_living_upload_is_spared_however_old_it_is(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    upload_id = begin_upload(clean_backend, original_key(session_id))
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round() == NOTHING
    assert open_uploads(clean_backend) == {upload_id}
    assert [row.id for row in clean_backend.rows(UploadSession)] == [session_id]


def test_upload_that_no_session_knows_is_taken_after_the_grace(clean_backend: Backend):
    upload_id = begin_upload(clean_backend, original_key(new_id()))
    if not clean_backend.is_s3:  # moto says of every upload that it began in 2010
        assert Sweeper(clean_backend.database, clean_backend.storage, grace=HOUR).run_round() == NOTHING
        assert open_uploads(clean_backend) == {upload_id}
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round().uploads == 1
    assert open_uploads(clean_backend) == set()


def test_object_without_a_file_is_taken_after_the_grace(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    orphans = {
        original_key(new_id()),
        rendition_key(new_id(), recipe="0" * 16, sha256="1" * 64),
    }
    for key in orphans:
        clean_backend.storage.put(key, b"nobody's", content_type="text/plain")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=HOUR).run_round() == NOTHING
    assert orphans < clean_backend.keys()
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round().objects == 2
    assert clean_backend.keys() == {original_key(file.id)}


def test_object_of_a_living_session_is_spared(clean_backend: Backend, owner: Owner):
    # Completed in the storage, and its commit is on its way; S3 dates it from the start of the upload.
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round() == NOTHING
    assert clean_backend.keys() == {original_key(session_id)}


def test_rendition_that_no_row_describes_is_taken_and_the_others_stay(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file, job = add_image(clean_backend, owner)
    workshop.run(job.id)
    kept = clean_backend.keys()
    stray = rendition_key(file.id, recipe="0" * 16, sha256="f" * 64)
    clean_backend.storage.put(stray, b"replaced", content_type="image/webp")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round().objects == 1
    assert clean_backend.keys() == kept


def test_rendition_of_a_file_at_work_is_left_alone(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    stored = rendition_key(file.id, recipe="0" * 16, sha256="f" * 64)
    clean_backend.storage.put(stored, b"about to be described", content_type="image/webp")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round() == NOTHING


def test_sweep_of_many_objects_goes_on_where_it_stopped(
    clean_backend: Backend, owner: Owner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.sweep.MAX_OBJECTS", 2)
    monkeypatch.setattr("workers.jobs.sweep.BATCH", 2)
    add_image(clean_backend, owner)
    add_image(clean_backend, owner)
    for _ in range(5):
        clean_backend.storage.put(original_key(new_id()), b"orphan", content_type="text/plain")
    sweeper = Sweeper(clean_backend.database, clean_backend.storage, grace=NOW)
    assert sum(sweeper.run_round().objects for _ in range(8)) == 5


def test_object_that_is_not_ours_by_its_name_is_left_alone(clean_backend: Backend):
    clean_backend.storage.put("originals/readme", b"by hand", content_type="text/plain")
    assert Sweeper(clean_backend.database, clean_backend.storage, grace=NOW).run_round() == NOTHING
    clean_backend.storage.delete(["originals/readme"])
