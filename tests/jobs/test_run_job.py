"""One attempt at a job and its end: done, again later, given up, buried, or none of its business."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from media_service.blocking_database import Database
from media_service.dialects import now_ms
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import FileStatus
from media_service.jobs.lifecycle import JobStatus
from media_service.storage.exceptions import StorageFullError, StorageUnavailableError
from media_service.tables import Event
from tests.support.backends import Backend, Owner
from tests.support.job_rows import (
    SECOND,
    add_image,
    add_job,
    change_job,
    claimed_by_a_dead_worker,
    get_file,
    get_job,
    let_lease_run_out,
)
from tests.support.storages import HookedStorage, RaisingStorage
from tests.support.workshop import Workshop
from workers.jobs.leases import LeaseKeeper
from workers.jobs.run import run_job
from workers.processing import failures


class CrashingSandbox:
    """A sandbox whose every child dies; `error` is what its door says then."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def process_image(self, *_: Any, **__: Any) -> Any:
        raise self._error


def break_sandbox(workshop: Workshop, error: Exception) -> None:
    sandbox: Any = CrashingSandbox(error)
    workshop.context = replace(workshop.context, sandbox=sandbox)


def make_due(backend: Backend, job_id: Any) -> None:
    change_job(backend, job_id, run_after_ms=0)


def test_job_that_succeeds_is_over_and_holds_no_lease(owner: Owner, workshop: Workshop):
    job = workshop.run(add_job(workshop.backend, owner).id)
    assert (job.status, job.attempts, job.progress) == (JobStatus.SUCCEEDED, 1, 1.0)
    assert (job.lease_token, job.lease_until_ms, job.error_code) == (None, None, None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at


def test_second_message_for_a_job_does_nothing(owner: Owner, workshop: Workshop):
    _, job = add_image(workshop.backend, owner)
    first = workshop.run(job.id)
    events = len(workshop.backend.rows(Event))
    second = workshop.run(job.id)
    assert (second.status, second.attempts, second.finished_at) == (
        first.status,
        first.attempts,
        first.finished_at,
    )
    assert len(workshop.backend.rows(Event)) == events


@pytest.mark.parametrize("error", [StorageUnavailableError(), StorageFullError()])
def test_transient_error_queues_the_job_again_with_a_delay(
    owner: Owner, workshop: Workshop, error: MediaServiceError
):
    file, job = add_image(workshop.backend, owner)
    before = time.time() * 1000
    with workshop.with_storage(RaisingStorage(workshop.backend.storage, "download", error=error)):
        row = workshop.run(job.id)
    assert (row.status, row.attempts, row.error_code) == (JobStatus.QUEUED, 1, error.code)
    assert (row.lease_token, row.sent_at_ms, row.finished_at) == (None, None, None)
    assert row.run_after_ms >= before + 0.7 * SECOND
    untouched = get_file(workshop.backend, file.id)
    assert untouched is not None
    assert (untouched.status, untouched.version) == (FileStatus.PROCESSING, 1)


def test_delay_grows_from_attempt_to_attempt_and_success_ends_it(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    delays = []
    away = RaisingStorage(workshop.backend.storage, "download", error=StorageUnavailableError())
    with workshop.with_storage(away):
        for _ in range(4):
            row = workshop.run(job.id)
            with workshop.backend.database.read() as session:
                delays.append(row.run_after_ms - (session.scalar(now_ms().select()) or 0))
            make_due(workshop.backend, job.id)
    assert delays == sorted(delays)
    row = workshop.run(job.id)
    assert (row.status, row.attempts, row.error_code) == (JobStatus.SUCCEEDED, 5, None)
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert ready.status is FileStatus.READY


def test_job_that_waits_for_its_retry_is_not_run_by_an_early_message(owner: Owner, workshop: Workshop):
    _, job = add_image(workshop.backend, owner)
    away = RaisingStorage(workshop.backend.storage, "download", error=StorageUnavailableError())
    with workshop.with_storage(away):
        workshop.run(job.id)
    change_job(workshop.backend, job.id, run_after_ms=now_ms() + 60 * SECOND)
    assert workshop.run(job.id).attempts == 1


def test_outage_is_waited_for_however_long_it_lasts(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner, max_attempts=2)
    away = RaisingStorage(workshop.backend.storage, "download", error=StorageUnavailableError())
    with workshop.with_storage(away):
        for _ in range(5):
            row = workshop.run(job.id)
            make_due(workshop.backend, job.id)
    assert (row.status, row.attempts, row.deferrals) == (JobStatus.QUEUED, 5, 5)
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert ready.status is FileStatus.READY


def test_interruptions_and_outages_before_a_crash_are_no_crashes(owner: Owner, workshop: Workshop):
    _, job = add_image(workshop.backend, owner)
    claimed_by_a_dead_worker(workshop.backend, job.id, attempts=5)
    break_sandbox(workshop, failures.failure(failures.SANDBOX_CRASHED))
    row = workshop.run(job.id)
    assert (row.status, row.attempts, row.crashes) == (JobStatus.QUEUED, 6, 1)


def test_permanent_error_gives_up_at_once_and_says_why(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    break_sandbox(workshop, failures.failure(failures.UNREADABLE_MEDIA))
    row = workshop.run(job.id)
    assert (row.status, row.attempts, row.error_code) == (JobStatus.FAILED, 1, "unreadable-media")
    failed = get_file(workshop.backend, file.id)
    assert failed is not None
    assert (failed.status, failed.status_code) == (FileStatus.FAILED, "unreadable-media")
    assert failed.status_detail
    event = workshop.backend.rows(Event)[-1]
    assert (event.type, event.data["code"]) == ("file.failed", "unreadable-media")


@pytest.mark.parametrize(
    "code", [failures.SANDBOX_CRASHED, failures.SANDBOX_TIMEOUT, failures.SANDBOX_OUT_OF_MEMORY]
)
def test_file_that_kills_its_sandbox_is_given_up_after_three_times(
    owner: Owner, workshop: Workshop, code: str
):
    file, job = add_image(workshop.backend, owner)
    break_sandbox(workshop, failures.failure(code))
    statuses = []
    for _ in range(3):
        statuses.append(workshop.run(job.id).status)
        make_due(workshop.backend, job.id)
    assert statuses == [JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.DEAD]
    failed = get_file(workshop.backend, file.id)
    assert failed is not None
    assert (failed.status, failed.status_code) == (FileStatus.FAILED, code)


def test_defect_is_tried_again_and_tells_clients_nothing(owner: Owner, workshop: Workshop):
    _, job = add_image(workshop.backend, owner)
    break_sandbox(workshop, ZeroDivisionError("a secret detail"))
    row = workshop.run(job.id)
    assert (row.status, row.error_code) == (JobStatus.QUEUED, "internal-error")
    assert "secret" not in (row.error_detail or "")


def test_ready_file_stays_ready_when_processing_it_again_fails(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    workshop.run(job.id)
    change_job(workshop.backend, job.id, status=JobStatus.QUEUED)
    break_sandbox(workshop, failures.failure(failures.UNREADABLE_MEDIA))
    assert workshop.run(job.id).status is JobStatus.FAILED
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert ready.status is FileStatus.READY


def rival_finishes(workshop: Workshop, job_id: Any) -> None:
    """Another worker takes the job over and does all of it."""
    let_lease_run_out(workshop.backend, job_id)
    whole = workshop.context
    workshop.context = replace(whole, storage=workshop.backend.storage)
    assert workshop.run(job_id).status is JobStatus.SUCCEEDED
    workshop.context = whole


def test_attempt_that_was_fenced_out_changes_nothing(owner: Owner, workshop: Workshop):
    file, job = add_image(workshop.backend, owner)
    hooked = HookedStorage(workshop.backend.storage, "download", lambda: rival_finishes(workshop, job.id))
    with workshop.with_storage(hooked):
        row = workshop.run(job.id)
    assert (row.status, row.attempts) == (JobStatus.SUCCEEDED, 2)
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert ready.version == 2
    events = [event.type for event in workshop.backend.rows(Event)]
    assert events.count("file.ready") == 1
    assert events.count("rendition.ready") == 3
    assert len(workshop.backend.keys()) == 4


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailableError(),
        MediaServiceError(ErrorKind.UNPROCESSABLE, "unreadable-media", "x"),
        OSError(),
    ],
)
def test_attempt_that_was_fenced_out_and_then_fails_changes_nothing(
    owner: Owner, workshop: Workshop, error: Exception
):
    file, job = add_image(workshop.backend, owner)
    broken = RaisingStorage(workshop.backend.storage, "put_file", error=error)
    hooked: Any = HookedStorage(broken, "download", lambda: rival_finishes(workshop, job.id))
    with workshop.with_storage(hooked):
        row = workshop.run(job.id)
    assert (row.status, row.attempts, row.error_code) == (JobStatus.SUCCEEDED, 2, None)
    ready = get_file(workshop.backend, file.id)
    assert ready is not None
    assert (ready.status, ready.version) == (FileStatus.READY, 2)


def test_database_that_is_away_at_the_claim_leaves_the_row_to_the_dispatcher(
    owner: Owner, workshop: Workshop
):
    job = add_job(workshop.backend, owner)
    nowhere = Database("postgresql://postgres@/none?host=/nonexistent", pool_size=1)
    keeper = LeaseKeeper(nowhere, lease=timedelta(seconds=15))
    with pytest.raises(MediaServiceError) as caught:
        run_job(job.id, replace(workshop.context, database=nowhere), keeper)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert get_job(workshop.backend, job.id).status is JobStatus.QUEUED
    nowhere.close()
