"""Locks are taken in one order, or who lost is tried again. On PostgreSQL: SQLite has one writer."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, text

from media_service.models import new_id, utc_now
from media_service.tables import File, Job, LoginSession, Rendition
from tests.support.accounts import log_in, make_account, refresh
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.problems import assert_problem

pytestmark = pytest.mark.parametrize("backend", ["postgres-s3"], indirect=True)

A_WAITER = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def wait_for_a_waiter(backend: Backend) -> None:
    """Until some other transaction waits for a lock."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with backend.database.read() as session:
            if session.scalar(A_WAITER):
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


def rendition_of(file: File) -> Rendition:
    return Rendition(
        id=new_id(),
        file_id=file.id,
        name="thumb",
        recipe="0" * 16,
        content_type="image/webp",
        width_px=1,
        height_px=1,
        size_bytes=1,
        sha256="0" * 64,
        created_at=utc_now(),
    )


def test_file_is_deleted_although_a_worker_publishes_at_this_moment(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file, job = add_image(clean_backend, owner)
    with ThreadPoolExecutor(1) as pool:
        with clean_backend.database.transaction() as worker:
            # Who finds the deadlock is its victim: the request, then, and not the worker.
            worker.execute(text("SET LOCAL deadlock_timeout = '1min'"))
            worker.get_one(Job, job.id, with_for_update=True)
            answer = pool.submit(server.client.delete, f"/v1/files/{file.id}", headers=owner.headers)
            wait_for_a_waiter(clean_backend)
            worker.add(rendition_of(file))
            worker.flush()
        assert answer.result().status_code == 204
    assert (clean_backend.rows(File), clean_backend.rows(Rendition)) == ([], [])


def test_refresh_while_the_login_is_deleted_is_refused_and_no_deadlock(
    server: ApiServer, clean_backend: Backend
):
    login = log_in(server, make_account(server))
    (row,) = clean_backend.rows(LoginSession)
    with ThreadPoolExecutor(1) as pool:
        with clean_backend.database.transaction() as other:
            other.execute(text("SET LOCAL deadlock_timeout = '1min'"))
            other.get_one(LoginSession, row.id, with_for_update=True)
            answer = pool.submit(refresh, server, login.refresh_token)
            wait_for_a_waiter(clean_backend)
            other.execute(delete(LoginSession).where(LoginSession.id == row.id))
        assert_problem(answer.result(), 401, "invalid-refresh-token")
