"""What a tree of processes uses: CPU and memory, by psutil."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import psutil

from tests.benchmarks.rounds import Sample

_SAMPLING_SECONDS = 0.02
"""Between two looks at a process's memory. A buffer that lives shorter may escape; each look costs 30 µs."""


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants that are alive now."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Used by a tree since it began: the living, and the dead whom a living parent has reaped."""
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_mib(pid: int) -> float:
    """Memory of a tree, shared pages counted once in all (Linux); else the resident sets' sum."""
    total = 0
    for process in tree(pid):
        try:
            memory = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += getattr(memory, "pss", memory.rss)
    return total / 2**20


@contextmanager
def measured(pid: int) -> Iterator[Sample]:
    """Fills `seconds`, `cpu` (of the tree) and `client_cpu` (of this process) when the block ends."""
    sample: Sample = {}
    cpu, client_cpu, start = cpu_seconds(pid), time.process_time(), time.perf_counter()
    yield sample
    sample["seconds"] = time.perf_counter() - start
    sample["client_cpu"] = time.process_time() - client_cpu
    sample["cpu"] = cpu_seconds(pid) - cpu


class PeakMemory:
    """The highest resident set of one process while the block runs."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_bytes = self.now()

    def now(self) -> int:
        rss: int = self._process.memory_info().rss
        return rss

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_SAMPLING_SECONDS):
            self.peak_bytes = max(self.peak_bytes, self.now())
