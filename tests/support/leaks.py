"""Whether processes give back what they took: descriptors, threads, children, memory, temporary files."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.arena import Arena

MIB = 1024 * 1024
ROLES = ("api", "worker", "renderer", "dispatcher")
SHARE = 1.1
"""What may stay: ten per cent over what was there at rest, after a first crowd."""
SPARE_DESCRIPTORS = 10
SPARE_BYTES = 24 * MIB
MAX_THREADS = 80
"""Pools of threads keep theirs for a while; this is what all pools of a process may have together."""


@dataclass(frozen=True, slots=True)
class Usage:
    descriptors: int
    threads: int
    resident_bytes: int
    children: int


def usage_of(arena: Arena) -> dict[str, Usage]:
    """By role; one that is between two lives is left out."""
    found: dict[str, Usage] = {}
    for role, pid in arena.service.pids.items():
        if role in ROLES:
            with suppress(psutil.NoSuchProcess):
                found[role] = _usage_of(psutil.Process(pid))
    return found


def leaks_since(baseline: dict[str, Usage], arena: Arena) -> list[str]:
    """One line for each thing that is more than it was; empty if all is well."""
    now = usage_of(arena)
    leaks = [f"{role} is away" for role in ROLES if role not in now]
    for role, usage in now.items():
        before = baseline[role]
        if usage.descriptors > before.descriptors * SHARE + SPARE_DESCRIPTORS:
            leaks.append(f"{role}: {usage.descriptors} descriptors, {before.descriptors} before")
        if usage.threads > MAX_THREADS:
            leaks.append(f"{role}: {usage.threads} threads")
        if usage.resident_bytes > before.resident_bytes * SHARE + SPARE_BYTES:
            mib = f"{usage.resident_bytes // MIB} MiB, {before.resident_bytes // MIB} before"
            leaks.append(f"{role}: {mib}")
        if usage.children > before.children:
            leaks.append(f"{role}: {usage.children} children, {before.children} before")
    leaks += [f"temporary file {path.name}" for path in _temporary_files(arena)]
    return leaks


def _usage_of(process: psutil.Process) -> Usage:
    with process.oneshot():
        return Usage(
            descriptors=process.num_fds(),
            threads=process.num_threads(),
            resident_bytes=process.memory_info().rss,
            children=len(process.children(recursive=True)),
        )


def _temporary_files(arena: Arena) -> list[Path]:
    return [path for path in arena.temp.rglob("*") if path.is_file() and path.name != "lock"]
