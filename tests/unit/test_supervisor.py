"""The supervisor with real processes: small Python children under a supervisor in a process of its own."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from media_service.cli import _children
from media_service.supervisor.records import RUN_TOKEN_VARIABLE, Record, end_leftovers
from tests.support.backends import make_settings

# What `media up` does, with the children taken from a file of expressions.
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from media_service.supervisor.supervisor import Child, supervise
folder = Path(sys.argv[1])
def note(line):
    with (folder / "events").open("a") as events:
        events.write(line + "\\n")
def child(name, source, **options):
    return Child(name, [sys.executable, "-S", "-c", PRELUDE + source, str(folder), name], **options)
def exists(name):
    async def probe():
        return (folder / name).exists()
    return probe
PRELUDE = '''
import os, signal, subprocess, sys, time
folder, name = sys.argv[1:]
def note(line):
    with open(folder + "/events", "a") as events:
        events.write(line + "\\\\n")
def finish(number, frame):
    note("stop " + name)
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
note("start " + name)
'''
FOREVER = "time.sleep(600)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf'); time.sleep(600)"
PARENT = '''
helper = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
open(folder + "/helper", "w").write(str(helper.pid))
note("helped")
time.sleep(600)
'''
children = eval((folder / "children").read_text())
sys.exit(asyncio.run(supervise(children, run_dir=folder / "data" / "run", on_ready=lambda: note("ready"))))
"""


class Run:
    """One supervisor process over a folder where it and its children note what they do."""

    def __init__(self, folder: Path, children: str) -> None:
        (folder / "children").write_text(children)
        self.folder = folder
        self._stderr = folder / f"stderr-{secrets.token_hex(4)}"
        # Files, not pipes: a leftover child would hold a pipe open and the reader with it.
        with self._stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISOR, str(folder)], stdout=subprocess.DEVNULL, stderr=stderr
            )

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def run_dir(self) -> Path:
        return self.folder / "data" / "run"

    @property
    def events(self) -> list[str]:
        path = self.folder / "events"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, event: str, times: int = 1) -> None:
        wait_until(lambda: self.events.count(event) >= times, f"{event} in {self.events}")

    def pid(self, name: str) -> int:
        record = Record.read(self.run_dir / f"{name}.pid")
        assert record is not None
        return record.pid

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(timeout=20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    runs: list[Run] = []

    def start_run(children: str) -> Run:
        runs.append(Run(tmp_path, children))
        return runs[-1]

    yield start_run
    for run in runs:
        if run.process.returncode is None:
            run.end(signal.SIGKILL)
    end_leftovers(tmp_path / "data" / "run")


def wait_until(is_true: Callable[[], bool], what: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


TWO = "[child('one', FOREVER), child('two', FOREVER)]"


def test_children_stop_in_reverse_order_and_the_exit_code_is_0(start: Callable[[str], Run]):
    run = start("[child(name, FOREVER, ready=exists('events')) for name in ('one', 'two', 'three')]")
    run.wait_for("ready")
    for name in ("one", "two", "three"):
        run.wait_for(f"start {name}")

    assert run.end(signal.SIGTERM) == 0
    assert run.events[-3:] == ["stop three", "stop two", "stop one"]
    assert list(run.run_dir.glob("*.pid")) == []


def test_child_does_not_get_what_it_has_no_use_for(
    start: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("A_SECRET", "a-secret")
    told = "note(name + ' ' + os.environ.get('A_SECRET', 'knows nothing'))"
    run = start(
        f"[child('api', {told!r}, once=True), child('worker', {told!r}, once=True, without=['A_SECRET'])]"
    )
    run.wait_for("api a-secret")
    run.wait_for("worker knows nothing")


def test_only_the_api_gets_the_key_of_the_admin():
    children = _children(make_settings({"redis_url": "redis://localhost"}))
    given = {child.name for child in children if "MEDIA_ADMIN_API_KEY" not in child.without}
    assert given == {"api"}
    assert {child.name for child in children} > {"worker", "dispatcher"}


def test_sigint_stops_everything_too(start: Callable[[str], Run]):
    run = start(TWO)
    run.wait_for("start one")
    run.wait_for("start two")

    assert run.end(signal.SIGINT) == 0
    assert run.events[-2:] == ["stop two", "stop one"]


def test_the_next_child_waits_until_the_one_before_is_ready(start: Callable[[str], Run]):
    run = start(
        '[child(\'slow\', \'time.sleep(0.3); note("up"); open(folder + "/up", "w"); time.sleep(600)\','
        " ready=exists('up')), child('next', FOREVER)]"
    )
    run.wait_for("start next")

    assert run.events.index("up") < run.events.index("start next")
    assert run.end(signal.SIGTERM) == 0


def test_a_step_of_the_start_ends_before_the_next_child_and_is_not_run_again(start: Callable[[str], Run]):
    run = start("[child('migrate', 'time.sleep(0.2); note(\"migrated\")', once=True), child('api', FOREVER)]")
    run.wait_for("start api")
    run.wait_for("ready")

    assert run.events.index("migrated") < run.events.index("start api")
    assert run.events.count("start migrate") == 1
    assert run.end(signal.SIGTERM) == 0


def test_a_failed_step_of_the_start_ends_the_start_with_its_exit_code(start: Callable[[str], Run]):
    run = start(
        "[child('first', FOREVER), child('migrate', 'sys.exit(3)', once=True), child('api', FOREVER)]"
    )

    assert run.end() == 3
    assert "migrate stopped during the start (exit code 3)" in run.stderr
    assert "start api" not in run.events
    assert "ready" not in run.events


def test_a_child_that_dies_before_it_is_ready_ends_the_start(start: Callable[[str], Run]):
    run = start("[child('api', 'os.kill(os.getpid(), 9)', ready=exists('never'))]")

    assert run.end() == 1
    assert "api stopped during the start (killed by SIGKILL)" in run.stderr


def test_a_child_that_is_never_ready_ends_the_start(start: Callable[[str], Run]):
    run = start("[child('api', FOREVER, ready=exists('never'), ready_timeout_seconds=0.3)]")

    assert run.end() == 1
    assert "api was not ready within 0.3 s" in run.stderr


def test_a_program_that_does_not_exist_ends_the_start(start: Callable[[str], Run]):
    run = start("[Child('api', ['/nonexistent/program'])]")

    assert run.end() == 1
    assert "api cannot be started" in run.stderr


def test_a_killed_child_is_restarted_and_the_others_live_on(start: Callable[[str], Run]):
    run = start(TWO)
    run.wait_for("ready")
    run.wait_for("start one")
    first, other = run.pid("one"), run.pid("two")

    os.kill(first, signal.SIGKILL)
    run.wait_for("start one", times=2)

    assert run.pid("one") != first
    assert run.pid("two") == other
    assert run.events.count("start two") <= 1
    assert run.end(signal.SIGTERM) == 0


def test_a_child_that_keeps_dying_is_restarted_ever_more_slowly(start: Callable[[str], Run]):
    started = time.monotonic()
    run = start("[child('broken', 'sys.exit(1)')]")
    run.wait_for("start broken", times=4)

    assert time.monotonic() - started >= 0.2 + 0.4 + 0.8
    assert run.end(signal.SIGTERM) == 0


def test_a_killed_childs_own_children_go_with_it(start: Callable[[str], Run]):
    run = start("[child('parent', PARENT)]")
    run.wait_for("helped")
    helper = int((run.folder / "helper").read_text())

    os.kill(run.pid("parent"), signal.SIGKILL)

    wait_until(lambda: not is_alive(helper), "the helper's end")
    assert run.end(signal.SIGTERM) == 0


def test_a_deaf_child_is_killed_when_its_grace_is_over(start: Callable[[str], Run]):
    run = start("[child('deaf', STUBBORN, grace_seconds=0.3)]")
    run.wait_for("deaf")
    pid = run.pid("deaf")

    assert run.end(signal.SIGTERM) == 0
    assert not is_alive(pid)


def test_a_second_signal_ends_the_grace(start: Callable[[str], Run]):
    run = start("[child('deaf', STUBBORN, grace_seconds=60)]")
    run.wait_for("deaf")
    started = time.monotonic()

    run.process.send_signal(signal.SIGINT)
    time.sleep(0.3)

    assert run.end(signal.SIGINT) == 0
    assert time.monotonic() - started < 10


def test_a_stop_during_the_start_stops_what_is_up(start: Callable[[str], Run]):
    run = start("[child('one', FOREVER), child('two', FOREVER, ready=exists('never'))]")
    run.wait_for("start one")
    run.wait_for("start two")

    assert run.end(signal.SIGTERM) == 0
    assert run.events[-2:] == ["stop two", "stop one"]


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_children_die_with_a_killed_supervisor_within_2_seconds(start: Callable[[str], Run]):
    run = start(TWO)
    run.wait_for("ready")
    pids = [run.pid("one"), run.pid("two")]

    run.end(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)), pids, seconds=2)


def test_the_next_start_after_a_kill_ends_leftovers_and_is_clean(start: Callable[[str], Run]):
    run = start("[child('parent', PARENT)]")
    run.wait_for("helped")
    helper = int((run.folder / "helper").read_text())
    run.end(signal.SIGKILL)
    assert is_alive(helper)  # Only the direct child has the parent-death signal.

    again = start(TWO)
    again.wait_for("start two")

    assert not is_alive(helper)
    assert not (again.run_dir / "parent.pid").exists()
    assert again.end(signal.SIGTERM) == 0


def test_a_second_supervisor_on_one_folder_is_refused_with_one_line(start: Callable[[str], Run]):
    run = start(TWO)
    run.wait_for("ready")
    pid = run.pid("one")

    second = start(TWO)

    assert second.end() == 1
    assert second.stderr.splitlines() == [
        f"another service (process {run.process.pid}) already runs on this data folder: {run.folder / 'data'}"
    ]
    assert is_alive(pid)
    assert run.end(signal.SIGTERM) == 0


def test_a_stranger_with_a_recorded_process_id_is_left_alone(tmp_path: Path):
    stranger = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    with stranger:
        Record(stranger.pid, started=time.time() - 3600, token="another-run").write(tmp_path / "api.pid")

        assert end_leftovers(tmp_path) == []
        assert stranger.poll() is None
        assert not (tmp_path / "api.pid").exists()
        stranger.kill()


def test_a_recorded_process_is_known_by_its_token_when_the_clock_was_set(tmp_path: Path):
    command = [sys.executable, "-c", "input()"]
    environment = {**os.environ, RUN_TOKEN_VARIABLE: "this-run"}
    leftover = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=environment)
    with leftover:
        Record(leftover.pid, started=time.time() - 3600, token="this-run").write(tmp_path / "api.pid")

        assert end_leftovers(tmp_path) == [leftover.pid]


def test_a_damaged_record_is_forgotten(tmp_path: Path):
    (tmp_path / "api.pid").write_text("no number\n")

    assert end_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
