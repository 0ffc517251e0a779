"""Who may run a job, for how long, and what becomes of those that lost it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from media_service.dialects import now_ms
from media_service.jobs.lifecycle import FINAL, JobStatus
from tests.support.backends import Backend, Owner
from tests.support.job_rows import SECOND, add_job, change_job, get_job, let_lease_run_out
from workers.jobs.context import ClaimedJob
from workers.jobs.leases import LeaseKeeper
from workers.jobs.run import claim

LEASE = timedelta(seconds=15)


@pytest.fixture
def keeper(clean_backend: Backend) -> LeaseKeeper:
    return LeaseKeeper(clean_backend.database, lease=LEASE)


def test_claim_takes_the_job_and_counts_the_attempt_before_the_work(
    clean_backend: Backend, owner: Owner, keeper: LeaseKeeper
):
    job = add_job(clean_backend, owner)
    claimed = claim(job.id, clean_backend.database, keeper)
    row = get_job(clean_backend, job.id)
    assert claimed is not None
    assert (claimed.id, claimed.attempts, claimed.payload) == (job.id, 1, job.payload)
    assert (row.status, row.attempts, row.lease_token) == (JobStatus.RUNNING, 1, claimed.token)
    assert row.started_at is not None


def test_claimed_job_cannot_be_claimed_again(clean_backend: Backend, owner: Owner, keeper: LeaseKeeper):
    job = add_job(clean_backend, owner)
    assert claim(job.id, clean_backend.database, keeper) is not None
    assert claim(job.id, clean_backend.database, keeper) is None
    assert get_job(clean_backend, job.id).attempts == 1


def test_of_eight_threads_that_claim_one_job_one_gets_it(
    clean_backend: Backend, owner: Owner, keeper: LeaseKeeper
):
    for _ in range(5):
        job = add_job(clean_backend, owner)
        claims = race(job.id, clean_backend, keeper)
        [winner] = [claimed for claimed in claims if claimed is not None]
        row = get_job(clean_backend, job.id)
        assert (row.lease_token, row.attempts) == (winner.token, 1)


def race(job_id: UUID, backend: Backend, keeper: LeaseKeeper) -> list[ClaimedJob | None]:
    """Eight threads that claim at the same moment."""
    barrier = threading.Barrier(8)

    def run(_: int) -> ClaimedJob | None:
        barrier.wait()
        return claim(job_id, backend.database, keeper)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(run, range(8)))


def test_lease_that_ran_out_lets_another_claim(clean_backend: Backend, owner: Owner, keeper: LeaseKeeper):
    job = add_job(clean_backend, owner)
    first = claim(job.id, clean_backend.database, keeper)
    let_lease_run_out(clean_backend, job.id)
    second = claim(job.id, clean_backend.database, keeper)
    assert first is not None
    assert second is not None
    assert second.token != first.token
    assert second.attempts == 2


def test_job_that_is_not_due_cannot_be_claimed(clean_backend: Backend, owner: Owner, keeper: LeaseKeeper):
    job = add_job(clean_backend, owner)
    change_job(clean_backend, job.id, run_after_ms=now_ms() + 60 * SECOND)
    assert claim(job.id, clean_backend.database, keeper) is None
    change_job(clean_backend, job.id, run_after_ms=now_ms() - SECOND)
    assert claim(job.id, clean_backend.database, keeper) is not None


@pytest.mark.parametrize("status", sorted(FINAL))
def test_job_that_is_over_cannot_be_claimed(
    clean_backend: Backend, owner: Owner, keeper: LeaseKeeper, status: JobStatus
):
    job = add_job(clean_backend, owner, status=status)
    assert claim(job.id, clean_backend.database, keeper) is None
    assert get_job(clean_backend, job.id).status is status


def test_job_without_attempts_left_cannot_be_claimed(
    clean_backend: Backend, owner: Owner, keeper: LeaseKeeper
):
    job = add_job(clean_backend, owner, max_attempts=3, attempts=3)
    assert claim(job.id, clean_backend.database, keeper) is None


def test_unknown_job_cannot_be_claimed(clean_backend: Backend, keeper: LeaseKeeper):
    assert claim(uuid4(), clean_backend.database, keeper) is None


def test_claim_forgets_the_error_of_the_attempt_before(
    clean_backend: Backend, owner: Owner, keeper: LeaseKeeper
):
    job = add_job(clean_backend, owner, error_code="old", error_detail="old")
    claim(job.id, clean_backend.database, keeper)
    assert get_job(clean_backend, job.id).error_code is None


def test_heartbeat_keeps_a_short_lease_alive_while_it_is_held(clean_backend: Backend, owner: Owner):
    short = LeaseKeeper(clean_backend.database, lease=timedelta(seconds=1))
    job = add_job(clean_backend, owner)
    claimed = claim(job.id, clean_backend.database, short)
    assert claimed is not None
    first_end = get_job(clean_backend, job.id).lease_until_ms or 0
    short.start()
    try:
        with short.hold(claimed.token):
            deadline = time.monotonic() + 20
            while (get_job(clean_backend, job.id).lease_until_ms or 0) < first_end + SECOND:
                assert time.monotonic() < deadline, "the lease was not renewed"
                time.sleep(0.05)
        # Let go: from here on nobody renews it.
        time.sleep(0.5)
        end = get_job(clean_backend, job.id).lease_until_ms
        time.sleep(0.8)
        assert get_job(clean_backend, job.id).lease_until_ms == end
    finally:
        short.close()


def test_heartbeat_does_not_bring_back_a_lease_that_another_took(clean_backend: Backend, owner: Owner):
    short = LeaseKeeper(clean_backend.database, lease=timedelta(seconds=0.3))
    job = add_job(clean_backend, owner)
    lost = claim(job.id, clean_backend.database, short)
    assert lost is not None
    let_lease_run_out(clean_backend, job.id)
    taken = claim(job.id, clean_backend.database, LeaseKeeper(clean_backend.database, lease=LEASE))
    assert taken is not None
    short.start()
    try:
        with short.hold(lost.token):
            time.sleep(0.5)
    finally:
        short.close()
    assert get_job(clean_backend, job.id).lease_token == taken.token
