"""Rows whose object is missing: renditions are made again, originals are mourned, nothing is deleted."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from media_service.jobs.lifecycle import JobStatus
from media_service.models import utc_now
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.local import LocalStorage
from media_service.storage.port import StoredObject
from media_service.tables import File, Rendition
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, change_job
from tests.support.storages import RaisingStorage, WrappedStorage
from tests.support.sweeping import HOUR, make_sweeper, ready_image, renditions, sweep, unfinished_jobs
from tests.support.workshop import Workshop
from workers.jobs.sweep.findings import Kind


def test_lost_rendition_is_made_again_by_one_job_for_it_alone(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    keys, lost = clean_backend.keys(), renditions(clean_backend, file)["thumb"].key
    clean_backend.storage.delete([lost])
    assert sweep(clean_backend) == {"missing_rendition": 1}
    [job] = unfinished_jobs(clean_backend)
    assert (job.file_id, job.payload, job.sent_at_ms) == (file.id, {"renditions": ["thumb"]}, None)
    workshop.run_all()
    assert clean_backend.keys() == keys
    assert sweep(clean_backend) == {}


def test_file_with_several_lost_renditions_gets_one_job(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    found = renditions(clean_backend, file)
    clean_backend.storage.delete([found["small"].key, found["large"].key])
    # A small photo: both are the same bytes, but not of the same recipe.
    assert sweep(clean_backend) == {"missing_rendition": 2}
    [job] = unfinished_jobs(clean_backend)
    assert sorted(job.payload["renditions"]) == ["large", "small"]


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_lost_rendition_of_a_file_at_work_gets_no_second_job(
    clean_backend: Backend, owner: Owner, workshop: Workshop, status: JobStatus
):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([renditions(clean_backend, file)["thumb"].key])
    sweep(clean_backend)
    [job] = unfinished_jobs(clean_backend)
    change_job(clean_backend, job.id, status=status)
    assert sweep(clean_backend) == {}
    assert len(unfinished_jobs(clean_backend)) == 1


def test_missing_original_is_one_loud_line_and_nothing_changes(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([file.key])
    keys, rows = clean_backend.keys(), [row.column_values() for row in clean_backend.rows(Rendition)]
    with capture_logs() as logs:
        assert sweep(clean_backend) == {"missing_bytes": 1}
    [line] = [line for line in logs if line["event"] == "sweeper.bytes_missing"]
    assert (line["log_level"], line["file_id"], line["key"]) == ("error", str(file.id), file.key)
    assert clean_backend.keys() == keys
    assert [row.column_values() for row in clean_backend.rows(Rendition)] == rows
    assert unfinished_jobs(clean_backend) == []


def test_rendition_whose_original_is_missing_too_is_not_tried(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([file.key, renditions(clean_backend, file)["thumb"].key])
    assert sweep(clean_backend) == {"missing_bytes": 2}
    assert unfinished_jobs(clean_backend) == []


def test_rendition_of_a_preset_that_was_configured_away_is_not_tried(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([renditions(clean_backend, file)["thumb"].key])
    assert sweep(clean_backend, presets=frozenset({"large"})) == {"missing_bytes": 1}
    assert unfinished_jobs(clean_backend) == []


def test_rendition_that_could_not_be_made_again_is_tried_once_a_day(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([renditions(clean_backend, file)["thumb"].key])
    sweep(clean_backend)
    [job] = unfinished_jobs(clean_backend)
    change_job(clean_backend, job.id, status=JobStatus.DEAD, finished_at=utc_now() - timedelta(hours=1))
    assert sweep(clean_backend) == {"missing_bytes": 1}
    change_job(clean_backend, job.id, finished_at=utc_now() - timedelta(hours=25))
    assert sweep(clean_backend) == {"missing_rendition": 1}


def test_young_file_is_not_looked_at(clean_backend: Backend, owner: Owner, workshop: Workshop):
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([file.key])
    assert sweep(clean_backend, grace=HOUR) == {}


def test_old_id_of_a_file_that_took_hours_to_arrive_does_not_make_it_old(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    # Its id is as old as its first byte, its row as young as its last.
    file = ready_image(clean_backend, owner, workshop)
    clean_backend.storage.delete([file.key])
    with clean_backend.database.transaction() as session:
        session.execute(update(File).values(created_at=utc_now() + HOUR))
    assert sweep(clean_backend) == {}


def test_storage_that_answers_no_head_is_no_loss(clean_backend: Backend, owner: Owner, workshop: Workshop):
    ready_image(clean_backend, owner, workshop)
    away = RaisingStorage(clean_backend.storage, "head", error=StorageUnavailableError())
    with capture_logs() as logs, pytest.raises(StorageUnavailableError):
        sweep(clean_backend, storage=away)
    assert not [line for line in logs if line["event"] == "sweeper.bytes_missing"]
    assert unfinished_jobs(clean_backend) == []


def test_storage_that_is_gone_as_a_whole_is_no_loss(
    clean_backend: Backend, owner: Owner, workshop: Workshop, tmp_path: Path
):
    # HEAD has no body, so a bucket that is gone says of each key just "404"; a volume that is not mounted
    # says "no such file".
    ready_image(clean_backend, owner, workshop)
    if clean_backend.is_s3:
        storage: Any = WithoutBucket(clean_backend.storage)
    else:
        storage = LocalStorage(tmp_path / "mount")
        (tmp_path / "mount" / "objects").rmdir()
    with capture_logs() as logs, pytest.raises(StorageUnavailableError):
        sweep(clean_backend, storage=storage)
    assert not [line for line in logs if line["event"] == "sweeper.bytes_missing"]
    assert unfinished_jobs(clean_backend) == []


class WithoutBucket(WrappedStorage):
    """The same S3 server, asked for a bucket that does not exist."""

    def __getattribute__(self, name: str) -> Any:
        if name not in {"head", "check"}:
            return super().__getattribute__(name)
        inner = super().__getattribute__("_inner")

        def call(*arguments: Any) -> Any:
            bucket, inner._bucket = inner._bucket, "no-such-bucket"
            try:
                return getattr(inner, name)(*arguments)
            finally:
                inner._bucket = bucket

        return call


class LosingStorage(WrappedStorage):
    """Says "not found" of one key, after `hook` was called: what others do between our row and our HEAD."""

    def __init__(self, backend: Backend, key: str, hook: Callable[[], object]) -> None:
        super().__init__(backend.storage)
        self._key = key
        self._hook = hook

    def head(self, key: str) -> StoredObject:
        if key == self._key:
            self._hook()
        return self._inner.head(key)


def test_rendition_that_was_replaced_between_row_and_head_is_no_loss(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)
    old = renditions(clean_backend, file)["thumb"]

    def replace() -> None:
        with clean_backend.database.transaction() as session:
            row = session.get_one(Rendition, old.id)
            row.sha256 = "f" * 64
            clean_backend.storage.put(row.key, b"new", content_type="image/webp")
        clean_backend.storage.delete([old.key])

    assert sweep(clean_backend, storage=LosingStorage(clean_backend, old.key, replace)) == {}


def test_file_that_was_deleted_between_row_and_head_is_no_loss(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file = ready_image(clean_backend, owner, workshop)

    def delete() -> None:
        with clean_backend.database.transaction() as session:
            session.delete(session.get_one(File, file.id))
        clean_backend.storage.delete(clean_backend.keys())

    assert sweep(clean_backend, storage=LosingStorage(clean_backend, file.key, delete)) == {}


def test_walk_is_bounded_goes_on_where_it_stopped_and_starts_over(
    clean_backend: Backend, owner: Owner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.sweep.missing.MAX_HEADS", 2)
    monkeypatch.setattr("workers.jobs.sweep.missing.PAGE", 2)
    files = [add_image(clean_backend, owner)[0] for _ in range(5)]
    clean_backend.storage.delete([file.key for file in files])
    sweeper = make_sweeper(clean_backend)
    counts = [sweeper.run_round()[Kind.MISSING_BYTES] for _ in range(6)]
    assert counts == [2, 2, 1, 2, 2, 1]
    assert len(list(sweeper.run_through(dry_run=True))) == 5


def test_walk_moves_on_past_an_object_that_cannot_be_asked_for(
    clean_backend: Backend, owner: Owner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.sweep.missing.MAX_HEADS", 1)
    monkeypatch.setattr("workers.jobs.sweep.missing.PAGE", 1)
    refused, lost = (add_image(clean_backend, owner)[0] for _ in range(2))
    clean_backend.storage.delete([lost.key])

    def refuse() -> None:
        raise StorageUnavailableError

    sweeper = make_sweeper(clean_backend, storage=LosingStorage(clean_backend, refused.key, refuse))
    with pytest.raises(StorageUnavailableError):
        sweeper.run_round()
    assert sweeper.run_round() == {Kind.MISSING_BYTES: 1}
