"""seccomp: which system calls a child may make. Worker room. seccomp(2), filter.txt of the kernel.

What is refused is listed and the rest allowed. An allow-list would be tighter, but glibc, glib and the codecs
change what they call with every release and machine, and a valid photo that fails after an upgrade of a
library is what this service must never do. Landlock and the rlimits stand behind the list.
"""

import ctypes
import errno
import os
import platform
import struct
from functools import cache

from workers.processing.kernel import IS_LINUX, prctl
from workers.processing.syscall_numbers import AARCH64, X86_64, denied_numbers, judged_numbers

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_ARCHITECTURES = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
"""AUDIT_ARCH_* of the kernel: a call made through another one's gate would bear other numbers."""

_X32_BIT = 0x40000000
"""The x32 gate of x86_64 shares its architecture and has its own numbers from here on."""

_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_FAIL = 0x00050000

# Instructions of classic BPF, and where in struct seccomp_data they look.
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL = 0x15, 0x35
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_CLONE_THREAD = 0x00010000
_CLONE_NEVER = 0x7E020000 | 0x00802000
"""Every CLONE_NEW*, CLONE_UNTRACED and CLONE_PTRACE: no thread of ours has them."""

_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
"""Of fcntl: they have the kernel send a signal of one's choice to a process of one's choice."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""

_INSTRUCTION_BYTES = 8

_ANY_PID = 0x7FFFFFFF
"""Stands for the child's own in the template; the kernel's highest is 2**22."""

Block = list[Instruction]
"""Entered at its first instruction, left by a verdict."""


def machine() -> str | None:
    """The architecture whose filter is known, or None."""
    name = platform.machine()
    return name if IS_LINUX and name in _ARCHITECTURES else None


def prepare() -> None:
    """Build the filter now, a millisecond's work, so that children inherit it."""
    name = machine()
    if name is not None:
        _template(name)


def install() -> None:
    """Refuse this thread and all it starts what is listed, for good. Needs no_new_privs. Raises OSError."""
    name = machine()
    if name is None:
        raise OSError(errno.ENOSYS, "no filter for this machine")
    packed = _template(name).replace(_pack(_if_pid(_ANY_PID)), _pack(_if_pid(os.getpid())))
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = struct.pack("@HP", len(packed) // _INSTRUCTION_BYTES, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(header, len(header))
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(holder))


@cache
def _template(machine_name: str) -> bytes:
    return b"".join(_pack(step) for step in program(machine_name, own_pid=_ANY_PID))


def _pack(step: Instruction) -> bytes:
    return struct.pack("=HBBI", *step)


def program(machine_name: str, *, own_pid: int) -> list[Instruction]:
    """The filter for a process of that pid."""
    verdicts = {
        **dict.fromkeys(denied_numbers(machine_name), _DENY),
        **_judgements(machine_name, own_pid),
    }
    if machine_name == X86_64:
        verdicts[_X32_BIT] = _DENY
    return [*_gate(machine_name), *_search(_to_ranges(verdicts))]


def _gate(machine_name: str) -> Block:
    """Death to another architecture's calls: no library of ours makes one. Leaves the number loaded."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine_name]),
        _end(_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]


def _judgements(machine_name: str, own_pid: int) -> dict[int, Block]:
    own_only = [(_LOAD, 0, 0, _argument(0)), _if_pid(own_pid), *_PERMIT, *_DENY]
    rules: dict[str, Block] = {
        # Threads, but no processes. clone3 has its flags in memory, where a filter cannot look; told that it
        # does not exist, glibc and musl fall back to clone.
        "clone": [
            (_LOAD, 0, 0, _argument(0)),
            (_AND, 0, 0, _CLONE_THREAD | _CLONE_NEVER),
            (_JUMP_EQUAL, 0, 1, _CLONE_THREAD),
            *_PERMIT,
            *_DENY,
        ],
        "clone3": [_end(_FAIL | errno.ENOSYS)],
        # abort() signals its own process, and so keeps its name in the verdict.
        "kill": own_only,
        "tkill": own_only,
        "tgkill": own_only,
        # The limits of other processes of this user are theirs.
        "prlimit64": [
            (_LOAD, 0, 0, _argument(0)),
            (_JUMP_EQUAL, 1, 0, 0),
            _if_pid(own_pid),
            *_PERMIT,
            *_DENY,
        ],
        "fcntl": [(_LOAD, 0, 0, _argument(1)), *_all_but([_F_SETOWN, _F_SETSIG, _F_SETOWN_EX])],
    }
    return {number: rules[name] for name, number in judged_numbers(machine_name).items()}


def _to_ranges(verdicts: dict[int, Block]) -> list[tuple[int, Block]]:
    """Where each verdict begins to hold; between the numbers of the table everything is allowed."""
    ranges: list[tuple[int, Block]] = []
    for number in sorted({0, *verdicts, *(number + 1 for number in verdicts)}):
        verdict = verdicts.get(number, _PERMIT)
        if number > _X32_BIT:
            break  # all of the x32 gate is shut
        if not ranges or ranges[-1][1] is not verdict:
            ranges.append((number, verdict))
    return ranges


def _search(ranges: list[tuple[int, Block]]) -> Block:
    """A binary search: when the filter is installed, the kernel tries it on every number there is."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    return [(_JUMP_GREATER_OR_EQUAL, len(below), 0, ranges[middle][0]), *below, *above]


def _argument(index: int) -> int:
    # The low half, on little-endian machines; of all arguments judged here the kernel reads 32 bits.
    return _ARGUMENTS_AT + 8 * index


def _if_pid(pid: int) -> Instruction:
    return (_JUMP_EQUAL, 0, 1, pid)


def _all_but(values: list[int]) -> Block:
    return [*(step for value in values for step in ((_JUMP_EQUAL, 0, 1, value), *_DENY)), *_PERMIT]


def _end(verdict: int) -> Instruction:
    return (_RETURN, 0, 0, verdict)


_PERMIT: Block = [_end(_ALLOW)]
_DENY: Block = [_end(_FAIL | errno.EPERM)]
