"""The two promises of Linux's prctl(2) that the sandbox uses. Worker room.

On systems without prctl both do nothing: the zygote's own kills and the control socket's end remain.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_HAS_PRCTL = sys.platform.startswith("linux")


def _prctl(option: int, argument: int) -> None:
    # The unused arguments must be zero for PR_SET_NO_NEW_PRIVS, prctl(2).
    library = ctypes.CDLL(None, use_errno=True)
    longs = [ctypes.c_ulong(value) for value in (argument, 0, 0, 0)]
    if library.prctl(ctypes.c_int(option), *longs) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def set_no_new_privs() -> None:
    """From here on no exec gains privileges: set-uid files are worth nothing to a taken-over child."""
    if _HAS_PRCTL:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent's *thread* ends; only for single-threaded parents.

    Raises ProcessLookupError if the parent was gone before the kernel was told.
    """
    if _HAS_PRCTL:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the parent has ended")
