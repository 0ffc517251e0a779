"""Reads a range of a file. Worker room."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from media_service.storage.checks import checked_range_bytes
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.local_errors import translating_os_errors


class LocalReader:
    """A BlobReader over a file; it keeps its bytes even if the object is deleted or replaced meanwhile."""

    def __init__(self, path: Path, key: str, *, start: int, size_bytes: int | None) -> None:
        with translating_os_errors(key):
            self._file = path.open("rb", buffering=0)
        try:
            with translating_os_errors():
                object_bytes = os.fstat(self._file.fileno()).st_size
                self._file.seek(start)
            self.size_bytes = checked_range_bytes(object_bytes, start=start, size_bytes=size_bytes)
        except BaseException:
            self._file.close()
            raise
        self._rest_bytes = self.size_bytes

    def read(self, max_bytes: int) -> bytes:
        with translating_os_errors():
            data = self._file.read(min(max_bytes, self._rest_bytes))
        if not data and self._rest_bytes and max_bytes:
            raise StorageUnavailableError  # truncated under our hands
        self._rest_bytes -= len(data)
        return data

    def fileno(self) -> int:
        """The open file, for whoever can let the kernel move the bytes."""
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
