"""Redis away, hung or empty: uploads do not notice, and no job is lost."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.arena import Arena, seconds_of, stopped

PHOTOS = 5
UPLOAD_SECONDS = 2.0
"""An upload does not wait for Redis at all; this is a busy machine."""
READINESS_SECONDS = 0.5 + 0.4


@pytest.mark.fault("F11", "Redis refuses connections", "uploads are taken; jobs run when it is back")
def test_uploads_are_taken_while_redis_is_down(arena: Arena):
    with _redis_down(arena):
        taken = _upload_quickly(arena)
    arena.wait_until_ready(taken)


@pytest.mark.fault("F12", "Redis hangs", "uploads are taken at once; readiness stays quick")
def test_uploads_are_taken_while_redis_hangs(arena: Arena):
    with stopped(_redis_pid(arena)), arena.client() as client:
        taken = _upload_quickly(arena)
        assert seconds_of(lambda: client.get("/readyz")) < READINESS_SECONDS
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "unavailable")
        time.sleep(3)
    arena.wait_until_ready(taken)


@pytest.mark.fault("F13", "Redis restarts empty, with jobs queued and running", "every job runs, once")
def test_jobs_outlive_a_redis_that_forgets(arena: Arena):
    taken = _upload_quickly(arena)
    with stopped(arena.wait_for_sandbox_child().pid), stopped(arena.service.pids["worker"]):
        taken += _upload_quickly(arena, "queued")
        _forget_everything(arena)
    arena.wait_until_ready(taken)


def _upload_quickly(arena: Arena, label: str = "photo") -> list[str]:
    with arena.client() as client:
        taken = [arena.upload_until_taken(client, f"{label} {number}") for number in range(PHOTOS)]
    assert arena.ledger.slowest_seconds < UPLOAD_SECONDS
    return taken


def _redis_pid(arena: Arena) -> int:
    return arena.service.pids["redis"] if arena.valkey is None else arena.valkey.pid


@contextmanager
def _redis_down(arena: Arena) -> Iterator[None]:
    if arena.redis is not None:
        arena.redis.go_down()
        yield
        arena.redis.heal()
        return
    old_pid = arena.service.kill("redis")
    yield
    arena.service.wait_until_restarted("redis", old_pid=old_pid)


def _forget_everything(arena: Arena) -> None:
    if arena.valkey is not None:
        arena.valkey.kill()
        arena.valkey.start()
        return
    pid = _redis_pid(arena)
    with stopped(pid):  # so that it can write nothing more
        shutil.rmtree(arena.service.data_dir / "redis" / "appendonlydir")
        arena.service.kill("redis")
    arena.service.wait_until_restarted("redis", old_pid=pid)
