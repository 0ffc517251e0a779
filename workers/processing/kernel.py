"""System calls that Python has no function for. Worker room."""

import ctypes
import os
import sys

IS_LINUX = sys.platform.startswith("linux")

_library = ctypes.CDLL(None, use_errno=True) if IS_LINUX else None
"""Loaded once, in the zygote: a child may open no library any more."""


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Raises OSError with the kernel's errno; ENOSYS on systems other than Linux."""
    if _library is None:
        raise OSError(38, "not Linux")
    _library.syscall.restype = ctypes.c_long
    # Integers as longs: through a variadic function a C int leaves the upper half of a register undefined.
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _library.syscall(ctypes.c_long(number), *words)
    if result == -1:
        raise last_error()
    return result


def prctl(option: int, first: int, second: int = 0) -> None:
    """The call of that name, its unused arguments zero as it wants them. Nothing on systems without it."""
    if _library is None:
        return
    words = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if _library.prctl(ctypes.c_int(option), *words) != 0:
        raise last_error()


def last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
