"""How much of the uploads of this process is in memory, and the parts that share it. API room.

Bytes are accounted, not uploads: a thousand clients that send slowly hold a thousand half parts, and a limit
on uploads at once would let the slow stop the fast. Nobody ever waits here. A part that finds no room grows
in a temporary file from then on, which is slower and as good.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from media_service.storage.local_errors import translating_os_errors
from media_service.storage.local_files import write_all
from media_service.storage.port import Bytes


class UploadMemory:
    """The account of one process. Belongs to its event loop; threads do not touch it."""

    def __init__(self, *, limit_bytes: int, spill_dir: Path) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.spill_dir = spill_dir

    def take(self, size_bytes: int) -> bool:
        """Whether there is room for so many bytes; then they are accounted until they are given back."""
        if self.held_bytes + size_bytes > self.limit_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes


class GrowingPart:
    """One part of an upload: gathered in memory while there is room, else in a file without a name.

    Spilled bytes are hashed as they are written, since they would have to be read again later.
    """

    def __init__(self, memory: UploadMemory, digest: "hashlib._Hash") -> None:
        self.size_bytes = 0
        self._memory = memory
        self._digest = digest
        self._held = bytearray()
        self._file: _SpillFile | None = None
        self._is_released = False

    def take(self, data: memoryview) -> bool:
        """Gather bytes in memory; False if there is no room, and nothing was taken."""
        if self._file is not None or not self._memory.take(len(data)):
            return False
        self._held += data
        self.size_bytes += len(data)
        return True

    def spill(self, data: memoryview) -> None:
        """Write and hash bytes, and before them what is in memory. Blocks; `spilled` must follow.

        Raises StorageFullError.
        """
        with translating_os_errors():
            if self._file is None:
                self._file = _SpillFile(self._memory.spill_dir)
            for piece in (self._held, data):
                self._file.append(piece)
                self._digest.update(piece)
        if self._is_released:  # its request was cancelled before this thread had made the file
            self._file.close()

    def spilled(self, size_bytes: int) -> None:
        """Take note that `size_bytes` more and all that was held are in the file now."""
        held, self._held = self._held, bytearray()
        self._memory.give_back(len(held))
        self.size_bytes += size_bytes

    @property
    def unhashed(self) -> bytearray:
        """What was gathered in memory, to be hashed when the part is whole."""
        return self._held

    def reader(self) -> Callable[[], Bytes]:
        """A function that returns all bytes, for a thread: it blocks if they were spilled.

        It holds what it needs, so that a release meanwhile cannot make it return fewer.
        """
        held, file, size_bytes = self._held, self._file, self.size_bytes
        return (lambda: held) if file is None else (lambda: file.read(size_bytes))

    def release(self) -> None:
        """Let go of all bytes; safe to call more than once."""
        self._is_released = True
        held, self._held = self._held, bytearray()
        self._memory.give_back(len(held))
        if self._file is not None:
            self._file.close()


class _SpillFile:
    """A file that has no name, so that a crash leaves nothing. One thread at a time reads or writes it.

    It is never closed under a thread that uses it (its request may be cancelled meanwhile): that thread would
    go on with whoever is given the same descriptor next. Whoever lets go last closes it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - outlives this call
        self._size_bytes = 0
        self._in_use = threading.Lock()
        self._is_closed = False

    def append(self, data: Bytes) -> None:
        with self._using() as fd:
            write_all(fd, data, self._size_bytes)
        self._size_bytes += len(data)

    def read(self, size_bytes: int) -> bytes:
        with self._using() as fd, translating_os_errors():
            return os.pread(fd, size_bytes, 0)

    def close(self) -> None:
        """Does not wait: a thread that is at work closes it when it is done."""
        self._is_closed = True
        if self._in_use.acquire(blocking=False):
            self._file.close()
            self._in_use.release()

    @contextmanager
    def _using(self) -> Iterator[int]:
        try:
            with self._in_use:
                yield self._file.fileno()
        finally:
            if self._is_closed:
                self.close()
