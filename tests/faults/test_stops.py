"""Orderly stops, of one process and of all: nothing is lost, and each ends in its grace time."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import psutil
import pytest

from tests.support import images
from tests.support.arena import Arena, stopped

MIB = 1024 * 1024
API_SECONDS = 6 + 5
"""Its grace, and the time for cleaning up after what was cut."""
WORKER_SECONDS = 35
BODY_IDLE_SECONDS = 3
"""The setting of the arena."""
PHOTOS = 8


@pytest.mark.fault(
    "F39", "SIGTERM to the API in mid-upload", "a short upload ends, and the process in its grace"
)
def test_upload_that_ends_within_the_grace_is_taken(arena: Arena):
    pid = arena.service.pids["api"]

    def body() -> Iterator[bytes]:
        yield bytes(6 * MIB)
        os.kill(pid, signal.SIGTERM)
        time.sleep(1.5)
        yield bytes(MIB)

    with arena.client() as client:
        started = time.monotonic()
        answer = client.post("/v1/files?filename=slow.bin", content=body())
        assert answer.status_code == 201
        arena.ledger.acknowledged[answer.json()["items"][0]["id"]] = answer.json()["items"][0]["sha256"]
    _wait_until_gone(pid, started + API_SECONDS)
    arena.service.wait_until_restarted("api", old_pid=pid)


@pytest.mark.slow
@pytest.mark.fault(
    "F39", "SIGTERM to the API, and an upload that takes longer than the grace", "cut; nothing stays"
)
def test_upload_that_outlasts_the_grace_is_cut_and_leaves_nothing(arena: Arena):
    pid = arena.service.pids["api"]
    gone = threading.Event()

    def body() -> Iterator[bytes]:
        yield bytes(6 * MIB)
        os.kill(pid, signal.SIGTERM)
        while not gone.wait(0.2):
            yield bytes(4096)
        yield bytes(MIB)

    def watch() -> None:
        _wait_until_gone(pid, time.monotonic() + 30)
        gone.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    with arena.client() as client, suppress(httpx2.TransportError):
        assert client.post("/v1/files?filename=endless.bin", content=body()).status_code >= 500
    watcher.join()
    assert time.monotonic() - started < API_SECONDS + 1
    arena.service.wait_until_restarted("api", old_pid=pid)
    arena.service.wait_until_ready()
    arena.service.wait_until(
        lambda: not arena.configuration.objects.keys() and not arena.configuration.objects.unfinished(),
        "nothing of the upload is left",
    )


@pytest.mark.fault(
    "F40", "SIGTERM to a worker in mid-job", "it ends its jobs, then itself; the others are done"
)
def test_worker_ends_what_it_has_begun(arena: Arena):
    abandoned = arena.service.log.count("job.abandoned")
    taken, pid = _photos_under_way(arena), arena.service.pids["worker"]
    os.kill(pid, signal.SIGTERM)
    _wait_until_gone(pid, time.monotonic() + WORKER_SECONDS)
    arena.service.wait_until_restarted("worker", old_pid=pid)
    arena.wait_until_ready(taken)
    assert arena.service.log.count("job.abandoned") == abandoned


@pytest.mark.slow
@pytest.mark.fault(
    "F40", "SIGQUIT or a second SIGTERM to a worker", "it ends at once; its jobs are done again"
)
@pytest.mark.parametrize(
    "signals", [(signal.SIGQUIT,), (signal.SIGTERM, signal.SIGQUIT)], ids=["quit", "both"]
)
def test_worker_that_ends_at_once_loses_no_job(arena: Arena, signals: tuple[signal.Signals, ...]):
    taken, pid = _photos_under_way(arena), arena.service.pids["worker"]
    for number in signals:
        os.kill(pid, number)
    _wait_until_gone(pid, time.monotonic() + WORKER_SECONDS)
    arena.service.wait_until_restarted("worker", old_pid=pid)
    arena.wait_until_ready(taken)


@pytest.mark.slow
@pytest.mark.fault("F40", "Ctrl-C to all, with jobs queued", "after the next start every photo becomes ready")
def test_whole_service_stops_with_work_queued_and_goes_on_when_it_starts(arena: Arena):
    taken = _photos_under_way(arena)
    assert arena.service.stop() == 0
    arena.service.start()
    arena.wait_until_ready(taken)


def _photos_under_way(arena: Arena) -> list[str]:
    large = images.jpeg(4000, 3000)
    with arena.client() as client:
        answer = arena.post(client, "large.jpg", large)
        assert answer is not None
        taken = [answer.json()["items"][0]["id"]]
        taken += [arena.upload_until_taken(client, f"photo {number}") for number in range(PHOTOS)]
    return taken


def _wait_until_gone(pid: int, deadline: float) -> None:
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{pid} does not end"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.fault(
    "F48", "the API is stopped for longer than its patience, then goes on", "no client is blamed"
)
def test_upload_under_way_outlives_a_stopped_api(arena: Arena):
    """Its claim may run out, which is a 503; but the body came in time, so it is no 408."""
    pid = arena.service.pids["api"]

    def body() -> Iterator[bytes]:
        yield bytes(64 * 1024)
        with stopped(pid):
            yield bytes(64 * 1024)
            time.sleep(BODY_IDLE_SECONDS + 1)

    with arena.client() as client:
        answer = client.post("/v1/files?filename=patient.bin", content=body())
        assert answer.status_code == 201, answer.text
        file = answer.json()["items"][0]
        arena.ledger.acknowledged[file["id"]] = file["sha256"]
