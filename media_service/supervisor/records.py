"""What a supervisor leaves on disk: its lock, and one record per child. API room.

The records are the second net under the parent-death signal, and the only one where the system has none:
the next start ends whatever an earlier, killed supervisor left running. A process is taken for ours only
if its id was recorded and either its start time or its run token says so; ids alone are reused.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from media_service.supervisor.process import kill_group

LOCK_NAME = "supervisor.lock"
RUN_TOKEN_VARIABLE = "SUPERVISOR_RUN_TOKEN"  # noqa: S105 - a name, and no secret either
"""In the environment of every child, so that a child's own children can be told from strangers."""
START_TIME_TOLERANCE_SECONDS = 1.0
"""Start times come from the wall clock of the boot, which a time correction moves a little."""


class AlreadyRunningError(Exception):
    """Another supervisor holds this run folder; the message is one line for people."""


@contextmanager
def exclusive(run_dir: Path) -> Iterator[None]:
    """Make the run folder and hold its lock. Raises AlreadyRunningError at once if somebody else does.

    The lock belongs to the open file: it is gone with the process, however that ends, and no child
    inherits it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK_NAME).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise AlreadyRunningError(
                f"another service (process {holder}) already runs on this data folder: {run_dir.parent}"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@dataclass(frozen=True)
class Record:
    """One running child: lines of `<name>.pid`, the process id first."""

    pid: int
    started: float
    """Seconds since the epoch, as psutil tells it."""
    token: str

    @classmethod
    def of(cls, pid: int, token: str) -> "Record":
        """Describe a process that was just started."""
        return cls(pid, _start_time(pid), token)

    def write(self, path: Path) -> None:
        """Replace the file in one step: a reader sees the old child or the new one."""
        unfinished = path.with_suffix(".new")
        unfinished.write_text(f"{self.pid}\n{self.started!r}\n{self.token}\n")
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Record | None":
        """The record in a file, None if it holds none."""
        try:
            pid, started, token = path.read_text().split()
            return cls(int(pid), float(started), token)
        except (OSError, ValueError):
            return None


def end_leftovers(run_dir: Path) -> list[int]:
    """SIGKILL what an earlier run left behind, forget its records, and return the process ids."""
    ended: list[int] = []
    for path in sorted(run_dir.glob("*.pid")):
        record = Record.read(path)
        if record is not None:
            ended += _end(record)
        path.unlink(missing_ok=True)
    return ended


def _end(record: Record) -> list[int]:
    if record.pid <= 1 or not (members := [p for p in psutil.process_iter() if _is_ours(p, record)]):
        return []
    kill_group(record.pid)
    _, alive = psutil.wait_procs(members, timeout=5)
    return [member.pid for member in members if member not in alive]


def _is_ours(process: psutil.Process, record: Record) -> bool:
    """Whether a live process is the recorded child or, that one being dead, a member of its group."""
    try:
        if os.getpgid(process.pid) != record.pid or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.pid == record.pid and _is_close(process.create_time(), record.started):
            return True
        return bool(process.environ().get(RUN_TOKEN_VARIABLE) == record.token)
    except (OSError, psutil.Error):
        return False


def _is_close(left: float, right: float) -> bool:
    return abs(left - right) <= START_TIME_TOLERANCE_SECONDS


def _start_time(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:  # Already gone: no living process will ever match.
        return 0.0
