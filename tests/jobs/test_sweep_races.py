"""What changes between the sweeper's look and its act: strays that live again, other sweepers, new leases."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import update

from media_service.files.processing import process_again
from media_service.jobs.lifecycle import JobStatus
from media_service.models import new_id, utc_now
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key
from media_service.storage.port import Storage
from media_service.tables import File, Job, Rendition, UploadSession
from media_service.uploads.queries import renew_sessions
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_session, change_job
from tests.support.storages import RaisingStorage, WrappedStorage
from tests.support.sweeping import HOUR, make_sweeper, ready_image, renditions, sweep, unfinished_jobs
from tests.support.workshop import Workshop
from workers.jobs.sweep.claims import AbandonedUploads
from workers.jobs.sweep.findings import Kind
from workers.jobs.sweep.healing import Healer


class RacedStorage(WrappedStorage):
    """Calls `hook` right before the first delete: between the sweeper's look and its act."""

    def __init__(self, backend: Backend, hook: Callable[[], object]) -> None:
        super().__init__(backend.storage)
        self._hook: Callable[[], object] | None = hook

    def delete(self, keys: list[str]) -> None:
        if self._hook is not None:
            hook, self._hook = self._hook, None
            hook()
        self._inner.delete(keys)


def make_stray(backend: Backend, file: File) -> Rendition:
    """Take the row of a rendition away and leave its object, as an attempt that was fenced out does."""
    row = renditions(backend, file)["thumb"]
    with backend.database.transaction() as session:
        session.delete(session.get_one(Rendition, row.id))
    return row


def test_job_that_stores_a_stray_again_between_look_and_delete_is_repaired_in_the_same_round(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    keys, stray = clean_backend.keys(), make_stray(clean_backend, file)

    def process_meanwhile() -> None:
        job = add_job_for(clean_backend, file)
        assert workshop.run(job.id).status is JobStatus.SUCCEEDED
        make_young(clean_backend)

    raced = RacedStorage(clean_backend, process_meanwhile)
    assert sweep(clean_backend, storage=raced) == {"unowned_object": 1, "missing_rendition": 1}
    assert not {stray.key} & clean_backend.keys()
    workshop.run_all()
    assert clean_backend.keys() == keys
    assert sweep(clean_backend) == {}


def test_job_that_publishes_a_deleted_stray_only_later_is_repaired_when_it_is_over(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    stray = make_stray(clean_backend, file)
    begun: list[Job] = []
    raced = RacedStorage(clean_backend, lambda: begun.append(add_job_for(clean_backend, file)))
    sweeper = make_sweeper(clean_backend, storage=raced)
    assert sweeper.run_round() == {Kind.UNOWNED_OBJECT: 1}
    make_young(clean_backend)
    assert sweeper.run_round() == {}
    # It had stored the object before it was deleted, and ends now.
    with clean_backend.database.transaction() as session:
        session.add(Rendition(**{**stray.column_values(), "id": new_id()}))
    change_job(clean_backend, begun[0].id, status=JobStatus.SUCCEEDED)
    assert sweeper.run_round() == {Kind.MISSING_RENDITION: 1}


def test_delete_whose_answer_was_lost_is_doubted_too(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    make_stray(clean_backend, file)

    def process_meanwhile() -> None:
        job = add_job_for(clean_backend, file)
        assert workshop.run(job.id).status is JobStatus.SUCCEEDED
        make_young(clean_backend)

    error = StorageUnavailableError()
    raced = RaisingStorage(
        cast("Storage", RacedStorage(clean_backend, process_meanwhile)), "delete", error=error, after=True
    )
    with pytest.raises(StorageUnavailableError):
        sweep(clean_backend, storage=raced)
    [job] = unfinished_jobs(clean_backend)
    assert job.payload == {"renditions": ["thumb"]}


def test_of_two_sweepers_that_found_the_same_loss_one_makes_a_job(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    lost = {renditions(clean_backend, file)["thumb"].key}
    first, second = (Healer(clean_backend.database, max_attempts=3) for _ in range(2))
    assert [first.heal(lost), second.heal(lost)] == [lost, set()]
    assert len(unfinished_jobs(clean_backend)) == 1


def test_upload_that_came_back_to_life_between_look_and_act_is_spared(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    [batch] = AbandonedUploads(clean_backend.database, clean_backend.storage).look()
    assert [finding.name for finding in batch.findings] == [str(session_id)]
    with clean_backend.database.transaction() as session:
        session.execute(renew_sessions([session_id], lease=timedelta(minutes=1)))
    assert batch.act() == []
    assert [row.id for row in clean_backend.rows(UploadSession)] == [session_id]
    assert clean_backend.keys() == {original_key(session_id)}


def add_job_for(backend: Backend, file: File) -> Job:
    job = process_again(file, None, max_attempts=3, will_ring=False)
    with backend.database.transaction() as session:
        session.add(job)
    return job


def make_young(backend: Backend) -> None:
    """By the grace: from now on only suspicion leads to the files."""
    with backend.database.transaction() as session:
        session.execute(update(File).values(created_at=utc_now() + HOUR))
