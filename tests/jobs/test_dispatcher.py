"""The dispatcher: every due job reaches a worker, whatever was lost, and no lane overflows."""

from datetime import timedelta
from uuid import UUID

import pytest

from media_service.broker.messages import Lane
from media_service.dialects import now_ms
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import FileStatus
from media_service.jobs.lifecycle import FINAL, JobStatus
from media_service.tables import Event, Lease
from tests.support.backends import Backend, Owner
from tests.support.job_rows import (
    SECOND,
    add_image,
    add_job,
    change_job,
    claimed_by_a_dead_worker,
    get_file,
    get_job,
)
from workers.jobs.dispatch import Dispatcher, DispatchRules
from workers.jobs.leases import LeaseKeeper
from workers.jobs.run import claim

RULES = DispatchRules(window=5, resend_after=timedelta(seconds=5), leadership=timedelta(seconds=10))


class Broker:
    """What a dispatcher needs of one: lanes that keep messages until somebody takes them."""

    def __init__(self) -> None:
        self.lanes: dict[Lane, list[UUID]] = {lane: [] for lane in Lane}
        self.is_away = False

    def send(self, job_id: UUID, lane: Lane) -> None:
        self._check()
        self.lanes[lane].append(job_id)

    def depth(self, lane: Lane) -> int:
        self._check()
        return len(self.lanes[lane])

    def _check(self) -> None:
        if self.is_away:
            raise MediaServiceError(ErrorKind.UNAVAILABLE, "broker-unavailable", "away")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def dispatcher(clean_backend: Backend, broker: Broker) -> Dispatcher:
    return Dispatcher(clean_backend.database, broker, RULES)


def test_job_that_was_never_sent_is_sent_into_its_lane(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    _, processing = add_image(clean_backend, owner)
    purge = add_job(clean_backend, owner)
    assert dispatcher.run_round()
    expected = {Lane.UPLOADS: [processing.id], Lane.TRANSFERS: [], Lane.HOUSEKEEPING: [purge.id]}
    assert broker.lanes == expected
    assert get_job(clean_backend, purge.id).sent_at_ms is not None
    assert get_job(clean_backend, purge.id).status is JobStatus.QUEUED


def test_job_that_was_sent_is_not_sent_again_at_once(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    for _ in range(3):
        dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_job_that_was_sent_and_not_claimed_for_long_is_sent_again(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    dispatcher.run_round()
    broker.lanes[Lane.HOUSEKEEPING].clear()  # a Redis that lost all it had
    change_job(clean_backend, job.id, sent_at_ms=now_ms() - 6 * SECOND)
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_running_job_is_not_sent(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    claim(job.id, clean_backend.database, LeaseKeeper(clean_backend.database, lease=timedelta(seconds=15)))
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == []


@pytest.mark.parametrize("status", sorted(FINAL))
def test_job_that_is_over_is_not_sent(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher, status: JobStatus
):
    add_job(clean_backend, owner, status=status)
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == []


def test_job_that_waits_for_its_retry_is_sent_when_it_is_due(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    change_job(clean_backend, job.id, run_after_ms=now_ms() + 60 * SECOND)
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == []
    change_job(clean_backend, job.id, run_after_ms=now_ms())
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_lane_never_holds_more_than_its_window(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    jobs = [add_job(clean_backend, owner) for _ in range(12)]
    lane = broker.lanes[Lane.HOUSEKEEPING]
    dispatcher.run_round()
    dispatcher.run_round()
    assert lane == [job.id for job in jobs[:5]]
    del lane[:2]  # two were taken by workers
    dispatcher.run_round()
    assert lane == [job.id for job in jobs[2:7]]


def test_full_lane_does_not_hold_up_the_other(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    for _ in range(9):
        add_job(clean_backend, owner)
    _, processing = add_image(clean_backend, owner)
    dispatcher.run_round()
    assert broker.lanes[Lane.UPLOADS] == [processing.id]


def test_job_of_a_dead_worker_is_queued_and_sent_in_the_same_round(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    claimed_by_a_dead_worker(clean_backend, job.id, attempts=2)
    dispatcher.run_round()
    row = get_job(clean_backend, job.id)
    assert (row.status, row.attempts, row.lease_token) == (JobStatus.QUEUED, 2, None)
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_job_whose_last_attempt_died_is_a_dead_letter_and_fails_its_file(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    file, job = add_image(clean_backend, owner, max_attempts=3)
    claimed_by_a_dead_worker(clean_backend, job.id, attempts=3)
    dispatcher.run_round()
    row, failed = get_job(clean_backend, job.id), get_file(clean_backend, file.id)
    assert (row.status, row.error_code, row.lease_token) == (JobStatus.DEAD, "interrupted", None)
    assert row.finished_at is not None
    assert failed is not None
    assert (failed.status, failed.status_code) == (FileStatus.FAILED, "interrupted")
    assert [event.type for event in clean_backend.rows(Event)] == ["file.created", "file.failed"]
    assert broker.lanes[Lane.UPLOADS] == []
    dispatcher.run_round()
    assert len(clean_backend.rows(Event)) == 2


def test_of_two_dispatchers_one_works(clean_backend: Backend, owner: Owner, broker: Broker):
    first, second = (Dispatcher(clean_backend.database, broker, RULES) for _ in range(2))
    job = add_job(clean_backend, owner)
    assert [first.run_round(), second.run_round(), first.run_round(), second.run_round()] == [
        True,
        False,
        True,
        False,
    ]
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_second_dispatcher_takes_over_when_the_first_falls_silent(
    clean_backend: Backend, owner: Owner, broker: Broker
):
    first, second = (Dispatcher(clean_backend.database, broker, RULES) for _ in range(2))
    assert first.run_round()
    with clean_backend.database.transaction() as session:
        session.query(Lease).update({Lease.until_ms: 0})
    job = add_job(clean_backend, owner)
    assert second.run_round()
    assert not first.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_round_without_a_broker_raises_and_a_later_round_sends(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner)
    broker.is_away = True
    with pytest.raises(MediaServiceError) as caught:
        dispatcher.run_round()
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    broker.is_away = False
    change_job(clean_backend, job.id, sent_at_ms=now_ms() - 6 * SECOND)
    dispatcher.run_round()
    assert broker.lanes[Lane.HOUSEKEEPING] == [job.id]


def test_broker_that_is_away_does_not_stop_the_dead_from_being_found(
    clean_backend: Backend, owner: Owner, broker: Broker, dispatcher: Dispatcher
):
    job = add_job(clean_backend, owner, max_attempts=1)
    claimed_by_a_dead_worker(clean_backend, job.id)
    add_job(clean_backend, owner)
    broker.is_away = True
    with pytest.raises(MediaServiceError):
        dispatcher.run_round()
    assert get_job(clean_backend, job.id).status is JobStatus.DEAD
