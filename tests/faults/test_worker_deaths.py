"""Workers that die, hang or are given poison: each photo becomes ready once, and the others do not wait."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import images
from tests.support.arena import Arena, stopped
from tests.support.hostile_makers import interlaced_png

MAX_CRASHES = 3


@pytest.fixture(scope="module")
def large_photo() -> bytes:
    """Takes long enough to be caught in the act."""
    return images.jpeg(4000, 3000)


@pytest.fixture
def under_way(arena: Arena, large_photo: bytes) -> list[str]:
    """A photo that is sent, among others."""
    with arena.client() as client:
        first = arena.post(client, "large.jpg", large_photo)
        assert first is not None
        assert first.status_code == 201
        return [first.json()["items"][0]["id"], *(arena.upload_until_taken(client, f"{n}") for n in range(4))]


@pytest.mark.fault("F6", "SIGKILL of a worker in mid-job", "its jobs are done again after their lease")
def test_photos_of_a_killed_worker_become_ready(arena: Arena, under_way: list[str]):
    child = arena.wait_for_sandbox_child()
    old_pid = arena.service.kill("worker")
    arena.service.wait_until_restarted("worker", old_pid=old_pid)
    arena.wait_until_ready(under_way)
    assert not child.is_running()


@pytest.mark.slow
@pytest.mark.fault("F6", "SIGKILL of a worker between two steps of a job", "one effect")
@pytest.mark.parametrize("point", ["job.claimed", "job.rendered", "job.published"])
def test_worker_that_dies_between_two_steps_has_one_effect(arena: Arena, point: str):
    arena.arm(point)
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, point)
    arena.wait_until_dead(point)
    arena.wait_until_ready([file_id])


@pytest.mark.slow
@pytest.mark.fault("F6", "SIGKILL of a worker that removes a deleted file", "its objects go")
def test_worker_that_dies_while_it_purges_leaves_nothing(arena: Arena):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, "short-lived")
        arena.wait_until_ready([file_id])
        arena.arm("purge.deleted")
        assert client.delete(f"/v1/files/{file_id}").status_code == 204
    del arena.ledger.acknowledged[file_id]
    arena.wait_until_dead("purge.deleted")
    arena.service.wait_until(lambda: not arena.configuration.objects.of_file(file_id), "its objects are gone")


@pytest.mark.fault("F7", "SIGKILL of a decoding child", "the job is tried again, the others go on")
def test_photo_whose_child_is_killed_becomes_ready(arena: Arena, under_way: list[str]):
    worker = arena.service.pids["worker"]
    arena.wait_for_sandbox_child().kill()
    arena.wait_until_ready(under_way, seconds=15)
    assert arena.service.pids["worker"] == worker


@pytest.mark.slow
@pytest.mark.fault("F7", "SIGKILL of the children's zygote", "the next job starts another")
def test_photos_become_ready_after_the_zygote_is_killed(arena: Arena, under_way: list[str]):
    worker = arena.service.pids["worker"]
    zygote = arena.wait_for_sandbox_child().parent()
    assert zygote is not None
    zygote.kill()
    arena.wait_until_ready(under_way, seconds=15)
    assert arena.service.pids["worker"] == worker


@pytest.mark.fault(
    "F8", "a file that kills its child each time", "dead after three tries; the worker is well"
)
def test_poison_is_given_up_and_holds_nobody_up(arena: Arena):
    worker = arena.service.pids["worker"]
    with arena.client() as client:
        poison = arena.post(client, "poison.png", interlaced_png(7000, 7000))
        assert poison is not None
        file_id = poison.json()["items"][0]["id"]
        arena.ledger.poison.add(file_id)
        behind = [arena.upload_until_taken(client, f"behind {number}") for number in range(5)]
        arena.wait_until_ready(behind, seconds=15)
        arena.service.wait_until(
            lambda: client.get(f"/v1/files/{file_id}").json()["status"] == "failed", "the poison is given up"
        )
        reason = client.get(f"/v1/files/{file_id}").json()["status_reason"]
    assert reason["code"] in {"sandbox-out-of-memory", "sandbox-crashed"}
    ends = [line for line in arena.service.log.splitlines() if file_id in line and "job.finished" in line]
    assert len(ends) == MAX_CRASHES
    assert '"outcome": "dead"' in ends[-1]
    assert arena.service.pids["worker"] == worker


@pytest.mark.fault(
    "F9",
    "a worker that is stopped past its lease, then goes on",
    "another has the job; the late one is fenced",
)
def test_stopped_worker_changes_nothing_when_it_wakes(arena: Arena, under_way: list[str]):
    with arena.service.one_more("worker"):
        with _stopped_between_transactions(arena):
            arena.wait_until_ready(under_way)
        # What it had begun it ends only now, and is refused.
        arena.service.wait_until(lambda: '"fenced_out"' in arena.service.log, "the late one is fenced out")


@contextmanager
def _stopped_between_transactions(arena: Arena) -> Iterator[None]:
    """SQLite has one lock for all writers: whoever is stopped while it holds that stops everybody (F18)."""
    while True:
        arena.wait_for_sandbox_child()
        with stopped(arena.service.pids["worker"]):
            if not arena.is_embedded or _can_be_written(arena.service.data_dir / "media.db"):
                yield
                return


def _can_be_written(path: Path) -> bool:
    connection = sqlite3.connect(path, timeout=0.3, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.slow
@pytest.mark.fault("F10", "a decode that never ends", "killed at its limit, and tried again")
def test_child_that_hangs_is_killed_and_its_photo_becomes_ready(arena: Arena, under_way: list[str]):
    child = arena.wait_for_sandbox_child()
    os.kill(child.pid, signal.SIGSTOP)
    arena.wait_until_ready(under_way)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
