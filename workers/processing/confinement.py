"""What a fresh child gives up before it reads a byte of media. Worker room.

In the order of its life: `restore_signals`, `keep_only`, `confine`, and once the request is known `enclose`.
"""

import os
import signal
import socket
from pathlib import Path

from workers.processing import prctl
from workers.processing.limits import SandboxLimits
from workers.processing.rlimits import apply_rlimits

_CHANNEL_FD = 3
_MAX_FD = 4096
"""The zygote holds a handful of descriptors and two per running child; far below this."""


def confine(limits: SandboxLimits, *, zygote_pid: int) -> None:
    """Bind this process to its limits, once and for all. Raises OSError if a promise cannot be kept."""
    os.setsid()  # a process group of its own, so that a kill reaches whatever it may have started
    prctl.die_with_parent(zygote_pid)
    apply_rlimits(limits)
    prctl.set_no_new_privs()


def enclose(output_dir: Path) -> None:
    """Stay in one directory.

    The place for Landlock (the output directory and the source) and seccomp (no socket, exec, ptrace).
    """
    os.chdir(output_dir)


def restore_signals() -> None:
    """Undo what the zygote's loop set up; a child must not write into its wake-up pipe."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def keep_only(channel: socket.socket) -> socket.socket:
    """Close every inherited descriptor but the child's own channel, which is returned anew.

    Else a child would hold other jobs' sockets (their ends would never be seen) and could write into them.
    """
    os.dup2(channel.fileno(), _CHANNEL_FD, inheritable=False)
    os.closerange(_CHANNEL_FD + 1, _MAX_FD)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # decoders print what hostile files tell them; that belongs in no log
        os.dup2(null, standard)
    os.close(null)
    return socket.socket(fileno=_CHANNEL_FD)
