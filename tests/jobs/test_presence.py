"""Worker processes say that they live, and what their sandbox lacks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update

from media_service.dialects import now_ms
from media_service.jobs.presence import bury_dead, dead_processes, living_on, missing_layers_of_living
from media_service.supervisor.process import die_with_parent
from media_service.tables import WorkerProcess
from tests.support.backends import Backend
from tests.support.started import BYTECODE
from workers.jobs.presence import Presence

PROJECT_ROOT = Path(__file__).resolve().parents[2]
BEAT = timedelta(seconds=0.2)


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def living(backend: Backend) -> list[list[str]]:
    with backend.database.read() as session:
        return list(session.scalars(missing_layers_of_living()))


@pytest.fixture
def lacking() -> list[str]:
    return []


@pytest.fixture
def presence(clean_backend: Backend, lacking: list[str]) -> Iterator[Presence]:
    started = Presence(clean_backend.database, missing_layers=lambda: list(lacking), beat=BEAT)
    started.start()
    yield started
    started.close()


def test_process_appears_with_its_host_and_what_it_lacks_and_disappears_when_it_ends(
    clean_backend: Backend, lacking: list[str], presence: Presence
):
    lacking.append("landlock_tcp")
    wait_for(lambda: living(clean_backend) == [["landlock_tcp"]])
    [row] = clean_backend.rows(WorkerProcess)
    assert row.host == socket.gethostname()
    with clean_backend.database.read() as session:
        assert list(session.scalars(living_on(row.host))) == [row.id]
        assert list(session.scalars(living_on("elsewhere"))) == []
    presence.close()
    assert clean_backend.rows(WorkerProcess) == []


def test_each_beat_renews_the_time_and_looks_at_the_sandbox_again(
    clean_backend: Backend, lacking: list[str], presence: Presence
):
    wait_for(lambda: living(clean_backend) == [[]])
    [first] = clean_backend.rows(WorkerProcess)
    lacking.append("seccomp")
    wait_for(lambda: living(clean_backend) == [["seccomp"]])
    [later] = clean_backend.rows(WorkerProcess)
    assert later.id == first.id
    assert later.alive_until_ms > first.alive_until_ms


def test_process_whose_row_was_swept_while_it_was_paused_appears_again(
    clean_backend: Backend, presence: Presence
):
    wait_for(lambda: living(clean_backend) == [[]])
    with clean_backend.database.transaction() as session:
        session.query(WorkerProcess).delete()
    wait_for(lambda: living(clean_backend) == [[]])


def test_row_whose_time_is_over_stands_for_nobody_and_only_such_a_row_is_buried(clean_backend: Backend):
    with clean_backend.database.transaction() as session:
        for missing in ([], ["seccomp"], ["seccomp"]):
            session.add(WorkerProcess(id=uuid4(), host="a", missing_layers=missing, alive_until_ms=2**50))
    assert sorted(living(clean_backend)) == [[], ["seccomp"]]
    first, *others = clean_backend.rows(WorkerProcess)
    with clean_backend.database.transaction() as session:
        dead = update(WorkerProcess).where(WorkerProcess.id == first.id)
        session.execute(dead.values(alive_until_ms=now_ms() - 1000))
    with clean_backend.database.transaction() as session:
        assert list(session.scalars(dead_processes(after=None, limit=9))) == [first.id]
        everybody = [first.id, *(row.id for row in others)]
        assert list(session.scalars(bury_dead(everybody))) == [first.id]
    assert len(clean_backend.rows(WorkerProcess)) == 2


def test_real_worker_appears_with_its_sandbox_and_a_killed_one_leaves_a_row_that_dies(
    clean_backend: Backend, tmp_path: Path
):
    settings = {f"MEDIA_{name.upper()}": str(value) for name, value in clean_backend.values.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "worker"],
        cwd=tmp_path,
        env={
            **os.environ,
            **BYTECODE,
            "PYTHONPATH": str(PROJECT_ROOT),
            "TMPDIR": str(tmp_path),
            **settings,
            "MEDIA_WORKER_HEARTBEAT": "0.3",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
    )
    try:
        wait_for(lambda: len(living(clean_backend)) == 1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: living(clean_backend) == [])
    assert len(clean_backend.rows(WorkerProcess)) == 1
