"""The job that makes renditions, with the real sandbox, and the one that removes a file's objects."""

import os
import signal
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from media_service.files import queries
from media_service.files.lifecycle import FileStatus
from media_service.jobs.creation import new_job
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.models import new_id
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key, renditions_prefix
from media_service.tables import Event, File, Job, Rendition
from media_service.transforms.spec import Preset
from tests.support import images
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, add_job, change_job, get_file, get_job
from tests.support.storages import HookedStorage, RaisingStorage
from tests.support.workshop import Workshop
from workers.jobs.run import run_job


def add_process_job(backend: Backend, file: File, names: list[str] | None = None) -> Job:
    job = new_job(
        JobKind.PROCESS_FILE,
        owner_id=file.owner_id,
        file_id=file.id,
        payload={} if names is None else {"renditions": names},
        max_attempts=20,
        will_ring=False,
    )
    with backend.database.transaction() as session:
        session.add(job)
    return job


def delete_file(backend: Backend, file_id: UUID) -> None:
    with backend.database.transaction() as session:
        session.execute(queries.delete_file(file_id, version=1))


@pytest.mark.parametrize(
    "data",
    [
        images.jpeg(320, 240),
        images.png_alpha(320, 240),
        images.webp(320, 240),
        images.gif(320, 240),
        images.heic(320, 240),
    ],
    ids=["jpeg", "png", "webp", "gif", "heic"],
)
def test_image_of_each_kind_becomes_ready_with_all_presets(owner: Owner, workshop: Workshop, data: bytes):
    file, job = add_image(workshop.backend, owner, data)
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert (ready.status, ready.version) == (FileStatus.READY, 2)
    assert (ready.media["width"], ready.media["height"]) == (320, 240)
    assert ready.placeholder is not None
    rows = workshop.backend.rows(Rendition)
    assert {row.name: (row.width_px, row.height_px) for row in rows} == {
        "thumb": (256, 192),
        "small": (320, 240),
        "large": (320, 240),
    }
    assert workshop.backend.keys() == {original_key(file.id), *(row.key for row in rows)}
    for row in rows:
        assert len(workshop.backend.read(row.key)) == row.size_bytes
    assert [event.type for event in workshop.backend.rows(Event)] == [
        "file.created",
        *["rendition.ready"] * 3,
        "file.ready",
    ]


def test_nothing_stays_in_the_scratch_directory(owner: Owner, workshop: Workshop):
    for data in (images.jpeg(64, 64), images.truncated_jpeg()):
        _, job = add_image(workshop.backend, owner, data)
        workshop.run(job.id)
    assert list(workshop.context.scratch_root.iterdir()) == []


def test_job_may_name_the_presets_it_wants(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    job = add_process_job(workshop.backend, file, ["small", "gone-from-the-settings"])
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    assert [row.name for row in workshop.backend.rows(Rendition)] == ["small"]


def test_processing_again_gives_the_same_objects_and_new_rows(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    workshop.run(job.id)
    before, keys = workshop.backend.rows(Rendition), workshop.backend.keys()
    assert workshop.run(add_process_job(workshop.backend, file).id).status is JobStatus.SUCCEEDED
    after = workshop.backend.rows(Rendition)
    assert {row.key for row in after} == {row.key for row in before}
    assert {row.id for row in after}.isdisjoint({row.id for row in before})
    assert workshop.backend.keys() == keys


def test_changed_preset_replaces_its_rendition_and_removes_the_old_object(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    workshop.run(job.id)
    old = {row.name: row.key for row in workshop.backend.rows(Rendition)}
    changed = Preset(name="thumb", width_px=100, height_px=100, format="jpeg")
    workshop.context = replace(workshop.context, presets=(changed, *workshop.context.presets[1:]))
    workshop.run(add_process_job(workshop.backend, file, ["thumb"]).id)
    new = {row.name: row.key for row in workshop.backend.rows(Rendition)}
    assert new["thumb"] != old["thumb"]
    assert {name: new[name] for name in ("small", "large")} == {
        name: old[name] for name in ("small", "large")
    }
    assert workshop.backend.keys() == {original_key(file.id), *new.values()}


def test_old_object_that_cannot_be_removed_does_not_undo_the_work(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    workshop.run(job.id)
    changed = Preset(name="thumb", width_px=100, height_px=100)
    workshop.context = replace(workshop.context, presets=(changed,))
    again = add_process_job(workshop.backend, file)
    stuck = RaisingStorage(workshop.backend.storage, "delete", error=StorageUnavailableError())
    with workshop.with_storage(stuck):
        assert workshop.run(again.id).status is JobStatus.SUCCEEDED
    assert len(workshop.backend.keys()) == 5


def test_file_deleted_while_it_is_processed_leaves_no_object(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)

    def delete_and_purge() -> None:
        delete_file(workshop.backend, file.id)
        workshop.backend.storage.delete([original_key(file.id)])  # the purge came before our objects

    with workshop.with_storage(HookedStorage(workshop.backend.storage, "download", delete_and_purge)):
        context = workshop.context
        run_job(job.id, context, workshop.keeper)
    assert workshop.backend.keys() == set()
    assert workshop.backend.rows(Rendition) == []
    assert workshop.backend.rows(Job) == []


def test_job_of_a_file_that_was_deleted_before_does_nothing(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    delete_file(workshop.backend, file.id)
    run_job(job.id, workshop.context, workshop.keeper)
    assert workshop.backend.rows(Job) == []
    assert list(workshop.backend.storage.list_objects(renditions_prefix(file.id))) == []


def test_bytes_that_are_not_those_that_were_uploaded_make_nothing(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    other = images.jpeg(100, 100)
    workshop.backend.storage.put(original_key(file.id), other, content_type="image/jpeg")
    row = workshop.run(job.id)
    assert (row.status, row.error_code) == (JobStatus.QUEUED, "integrity")
    assert workshop.backend.rows(Rendition) == []
    untouched = get_file(workshop.backend, file.id)
    assert untouched is not None
    assert untouched.status is FileStatus.PROCESSING


def test_original_that_is_lost_fails_the_file(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    workshop.backend.storage.delete([original_key(file.id)])
    row = workshop.run(job.id)
    assert (row.status, row.error_code) == (JobStatus.FAILED, "object-not-found")


def test_sandbox_that_was_killed_is_replaced_for_the_next_try(owner: Owner, workshop: Workshop):
    _, job = add_image(workshop.backend, owner)
    pid = workshop.context.sandbox.zygote_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    row = workshop.run(job.id)
    if row.status is JobStatus.QUEUED:  # the message was already with the dead one
        change_job(workshop.backend, job.id, run_after_ms=0)
        row = workshop.run(job.id)
    assert row.status is JobStatus.SUCCEEDED


def test_purge_removes_the_original_and_every_rendition_and_nothing_else(owner: Owner, workshop: Workshop):
    doomed, first = add_image(workshop.backend, owner)
    kept, second = add_image(workshop.backend, owner, images.jpeg(100, 80))
    workshop.run(first.id)
    workshop.run(second.id)
    kept_keys = set(filter(lambda key: str(kept.id) in key, workshop.backend.keys()))
    purge = add_job(workshop.backend, owner, payload={"file_id": str(doomed.id)})
    assert workshop.run(purge.id).status is JobStatus.SUCCEEDED
    assert workshop.backend.keys() == kept_keys


def test_purge_of_what_is_gone_already_succeeds(owner: Owner, workshop: Workshop):
    purge = add_job(workshop.backend, owner, payload={"file_id": str(uuid4())})
    assert workshop.run(purge.id).status is JobStatus.SUCCEEDED


def test_purge_that_fails_is_tried_again(owner: Owner, workshop: Workshop):
    workshop.backend.storage.put(original_key(file_id := new_id()), b"x", content_type="text/plain")
    purge = add_job(workshop.backend, owner, payload={"file_id": str(file_id)})
    stuck = RaisingStorage(workshop.backend.storage, "delete", error=StorageUnavailableError())
    with workshop.with_storage(stuck):
        assert workshop.run(purge.id).status is JobStatus.QUEUED
    assert get_job(workshop.backend, purge.id).error_code == "storage-unavailable"
    assert workshop.backend.keys() == {original_key(file_id)}


def test_original_of_too_many_bytes_is_refused_before_it_is_fetched(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file, job = add_image(clean_backend, owner)
    clean_backend.storage.delete([file.key])  # what is fetched would be missing
    limited = replace(workshop.context, max_source_bytes=file.size_bytes - 1)
    run_job(job.id, limited, workshop.keeper)
    assert get_job(clean_backend, job.id).status is JobStatus.FAILED
    failed = get_file(clean_backend, file.id)
    assert failed is not None
    assert failed.status_code == "image-too-many-bytes"
