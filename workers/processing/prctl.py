"""The two promises of Linux's prctl(2) that the sandbox uses. Worker room.

On systems without prctl both do nothing: the zygote's own kills and the control socket's end remain.
"""

import os
import signal

from workers.processing.kernel import prctl

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def set_no_new_privs() -> None:
    """From here on no exec gains privileges: set-uid files are worth nothing to a taken-over child."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent's *thread* ends; only for single-threaded parents.

    Raises ProcessLookupError if the parent was gone before the kernel was told.
    """
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the parent has ended")
