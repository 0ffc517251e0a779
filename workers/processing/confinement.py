"""What a fresh child gives up before it reads a byte of media. Worker room.

In the order of its life: `restore_signals`, `keep_only`, `confine`, and once the request is known `enclose`.
Limits hold on every Unix. What `enclose` does depends on the kernel, so `find_layers` tries it beforehand: a
layer that held then must hold in every child.
"""

import errno
import os
import signal
import socket
from pathlib import Path

from workers.processing import landlock, prctl, seccomp
from workers.processing.layers import Layers
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


def enclose(*, source: Path, output_dir: Path, layers: Layers) -> None:
    """Keep one file to read and one directory to write in: no sockets, programs, processes or other files.

    After `confine`. Raises OSError if a layer that was promised cannot be had: such a child must not decode.
    """
    if layers.landlock_files:
        landlock.restrict(source=source, output_dir=output_dir)
    if layers.seccomp:
        seccomp.install()
    os.chdir(output_dir)


def find_layers() -> Layers:
    """Try each layer in a process that is thrown away. The caller, a zygote, has one thread."""
    seccomp.prepare()
    pid = os.fork()
    if pid == 0:
        os._exit(_try_layers())
    _, status = os.waitpid(pid, 0)
    found = max(0, os.waitstatus_to_exitcode(status))  # killed by a stricter filter than ours: nothing holds
    return Layers(*(bool(found & 1 << place) for place in range(4)))


def _try_layers() -> int:
    """One bit per field of Layers, in their order."""
    try:
        prctl.set_no_new_privs()
        abi = landlock.abi_version() if _can_restrict() else 0
        return (
            (abi > 0) | (abi >= landlock.TCP_ABI) << 1 | (abi >= landlock.SCOPE_ABI) << 2 | _can_filter() << 3
        )
    except BaseException:  # noqa: BLE001 - an answer is owed, and this process ends here
        return 0


def _can_restrict() -> bool:
    try:
        landlock.restrict(source=Path(os.devnull), output_dir=Path("/"))
    except OSError:
        return False
    return True


def _can_filter() -> bool:
    try:
        seccomp.install()
        socket.socket(socket.AF_UNIX).close()
    except OSError as error:
        return error.errno == errno.EPERM
    return False


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
