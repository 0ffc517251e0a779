"""Landlock: which files a child may open. Worker room. Kernel documentation, userspace-api/landlock.

Three system calls, of the same numbers on every architecture, and two structs.
"""

import os
import struct
from pathlib import Path

from workers.processing.kernel import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG = 1 << 5, 1 << 8
_TRUNCATE = 1 << 14

_ALL_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights each ABI knows, and so can take away. Later ABIs (to 7) added none for files."""

TCP_ABI, _BOTH_TCP_RIGHTS = 4, 0b11
SCOPE_ABI, _BOTH_SCOPES = 6, 0b11

_SOURCE_RIGHTS = _READ_FILE
_OUTPUT_RIGHTS = _READ_FILE | _READ_DIR | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE
"""Plain files only: no links, devices, pipes, sockets or directories, which a worker might follow."""


def abi_version() -> int:
    """0 where there is no Landlock, or it is not among the security modules that were booted."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(*, source: Path, output_dir: Path) -> None:
    """Leave this process `source` to read and `output_dir` to write, for good; no TCP, where the kernel can.

    Nothing else is needed: libraries and modules were loaded before the fork. So neither the interpreter's
    folders nor the project's, beside which people keep their secrets, can be read. What is already open
    stays open. Needs no_new_privs. Raises OSError.
    """
    ruleset = _create_ruleset(abi_version())
    try:
        _allow(ruleset, source, _SOURCE_RIGHTS)
        _allow(ruleset, output_dir, _OUTPUT_RIGHTS)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _handled(abi: int) -> int:
    return (1 << _ALL_FILE_RIGHTS[min(abi, max(_ALL_FILE_RIGHTS))]) - 1


def _create_ruleset(abi: int) -> int:
    # The struct grew: a kernel refuses one with fields it does not know that are not zero.
    attributes = struct.pack(
        "=QQQ",
        _handled(abi) if abi else 0,
        _BOTH_TCP_RIGHTS if abi >= TCP_ABI else 0,
        _BOTH_SCOPES if abi >= SCOPE_ABI else 0,
    )
    return syscall(_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    # O_PATH neither reads nor waits, whatever lies there.
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights & _handled(abi_version()), descriptor)
        syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
