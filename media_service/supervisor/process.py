"""One child process in a session of its own: spawn, notice its end, take its whole group. API room.

Nothing here waits; `supervisor.py` decides when. The three things that make a process ours to end:
a session of its own, so that a Ctrl-C in the terminal reaches only the supervisor; the parent-death
signal, so that a SIGKILL of the supervisor leaves nothing behind; and killing by process group, so that
a worker's own children go with it.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(death_signal: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """The `preexec_fn` that ties a child's life to its parent's, None where the system has no such thing.

    The signal fires when the *thread* that spawned the child ends, so spawn from the main thread. It
    reaches the direct child only and survives exec, though not a set-user-id one.
    """
    if sys.platform != "linux":
        return None
    # Looked up here: between fork and exec nothing may import or take a lock that another thread held.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent_pid = os.getpid()

    def tie_to_parent() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:  # The parent died before the line above: no signal will come.
            os._exit(1)

    return tie_to_parent


def spawn(argv: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process in its own session; output is inherited, input is empty. Raises OSError.

    `env` is the whole environment, None for this process's own.
    """
    return subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - the supervisor runs no threads
    )


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended, without reaping it: its id and group stay ours to signal."""
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaped here, the group id may be reused
        return process.poll() is not None
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, process.pid, flags) is not None


def send(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """Signal the process itself, not its group: a pool's parent stops its children in its own order."""
    if not has_exited(process):
        os.kill(process.pid, stop_signal)


def kill_group(group_id: int) -> None:
    """SIGKILL every process of a group; one that is already gone is no error."""
    try:
        os.killpg(group_id, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # PermissionError is what macOS says of a group that only holds a zombie.
        return


def reap(process: subprocess.Popen[bytes]) -> int:
    """End what is left of an exited process's group and return its exit code (negative: a signal)."""
    if process.returncode is None:
        kill_group(process.pid)  # Before wait(): as long as the zombie stands, the id cannot be reused.
    return process.wait()
