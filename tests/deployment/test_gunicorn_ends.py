"""Every hostile request under Gunicorn, and the ways in which its processes end."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.backends import ADMIN, Backend
from tests.support.gunicorn_server import GunicornServer
from tests.support.hostile_http import FOLLOWER, ROWS, HostileRequest
from tests.support.raw_http import RawConnection, exchange

pytestmark = [
    pytest.mark.deployment,
    # What is tested here ends before any storage.
    pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True),
]

PATIENCE_SECONDS = 0.3
GRACE_SECONDS = 3


@pytest.fixture(scope="module")
def gunicorn(backend: Backend) -> Iterator[GunicornServer]:
    with GunicornServer({**backend.values, "header_timeout": PATIENCE_SECONDS}) as server:
        yield server


@pytest.fixture
def impatient(gunicorn: GunicornServer, clean_backend: Backend) -> GunicornServer:
    return gunicorn


@pytest.fixture
def stoppable(backend: Backend, clean_backend: Backend) -> Iterator[GunicornServer]:
    with GunicornServer({**backend.values, "shutdown_grace": GRACE_SECONDS}) as server:
        yield server


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_request_has_the_same_answer(
    impatient: GunicornServer, clean_backend: Backend, row: HostileRequest
):
    first, *more = exchange(impatient.port, [row.raw, FOLLOWER])
    assert (first.status, first.code) == (row.status, row.code)
    assert [answer.status for answer in more] == ([200] if row.is_kept else [])
    assert "server" not in first.headers
    stored = {"files", "events", "objects"} if row.status == 201 else set()
    assert set(clean_backend.leftovers()) == stored


def test_upload_that_outlasts_the_grace_is_cut_and_leaves_nothing(
    stoppable: GunicornServer, clean_backend: Backend
):
    with RawConnection(stoppable.port) as client:
        client.send_head("POST", "/v1/files?filename=slow.bin", {**ADMIN, "Content-Length": "1000000"})
        client.send(bytes(500_000))
        begun = time.monotonic()
        stoppable.send_signal(signal.SIGTERM)
        assert stoppable.wait() == 0
        assert time.monotonic() - begun >= GRACE_SECONDS
    # Not killed by Gunicorn, which has five seconds more of patience: both ended by themselves.
    assert stoppable.log.count('"api.stopped"') == 2
    assert clean_backend.leftovers() == {}


def test_upload_under_way_outlives_a_reload(stoppable: GunicornServer, clean_backend: Backend):
    old = {process.pid for process in stoppable.workers}

    def body() -> Iterator[bytes]:
        yield bytes(1024 * 1024)
        stoppable.send_signal(signal.SIGHUP)
        time.sleep(1)
        yield bytes(1024)

    answer = stoppable.client.post("/v1/files?filename=slow.bin", headers=ADMIN, content=body())
    assert answer.status_code == 201
    deadline = time.monotonic() + 20
    while old & {process.pid for process in stoppable.workers} or len(stoppable.workers) != len(old):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stoppable.client.get("/readyz").status_code == 200


def test_process_whose_gunicorn_was_killed_ends_too(stoppable: GunicornServer):
    orphans = stoppable.workers
    stoppable.send_signal(signal.SIGKILL)
    for orphan in orphans:
        orphan.wait(GRACE_SECONDS + 5)
