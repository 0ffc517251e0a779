"""A stream of bytes as it becomes one stored object. Worker room; `part_writer.py` is the API's."""

import hashlib
from contextlib import suppress
from types import TracebackType
from typing import Self

from media_service.exceptions import MediaServiceError
from media_service.storage.limits import part_size_for
from media_service.storage.port import PartReceipt, Storage


class StoredStream:
    """Stores at once what fits a part, else part by part; holds one part in memory.

    Leaving the block without `finish` gives up what was stored.
    """

    def __init__(self, storage: Storage, key: str, *, content_type: str, length_bytes: int) -> None:
        self.size_bytes = 0
        self._storage = storage
        self._key = key
        self._content_type = content_type
        self._part_bytes = part_size_for(storage.part_limits, length_bytes=length_bytes)
        self._digest = hashlib.sha256()
        self._part = bytearray()
        self._upload_id: str | None = None
        self._receipts: list[PartReceipt] = []

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Take bytes; blocks while a part is stored. Raises StorageError."""
        self.size_bytes += len(data)
        self._digest.update(data)
        self._part += data
        # A full part is stored only when more follows, so a blob of exactly one part is one put.
        while len(self._part) > self._part_bytes:
            self._put_part(self._part[: self._part_bytes])
            del self._part[: self._part_bytes]

    def finish(self) -> None:
        """Make the object durable. Raises StorageError."""
        if self._upload_id is None:
            self._storage.put(self._key, bytes(self._part), content_type=self._content_type)
            return
        self._put_part(self._part)
        self._storage.complete_upload(self._key, self._upload_id, self._receipts)
        self._upload_id = None

    def _put_part(self, data: bytearray) -> None:
        if self._upload_id is None:
            self._upload_id = self._storage.create_upload(
                self._key, content_type=self._content_type, part_size_bytes=self._part_bytes
            )
        number = len(self._receipts) + 1
        self._receipts.append(self._storage.put_part(self._key, self._upload_id, number, bytes(data)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload_id is not None:
            with suppress(MediaServiceError):  # the sweeper takes it
                self._storage.abort_upload(self._key, self._upload_id)
