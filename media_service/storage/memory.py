"""Keeps objects in memory, for tests. Any room: nothing blocks for long.

Honest to the port's contract, bounded by nothing, gone with the process.
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from media_service.storage.checks import checked_range_bytes, checked_total_bytes
from media_service.storage.exceptions import ObjectNotFoundError, PartsMismatchError
from media_service.storage.keys import checked_key, checked_prefix
from media_service.storage.local_errors import translating_os_errors
from media_service.storage.port import Bytes, ForkedUpload, OpenUpload, PartLimits, PartReceipt, StoredObject


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    modified_at: datetime


@dataclass(slots=True)
class _Upload:
    key: str
    part_size_bytes: int
    started_at: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryReader:
    """A BlobReader over bytes."""

    def __init__(self, data: bytes) -> None:
        self.size_bytes = len(data)
        self._file = BytesIO(data)

    def read(self, max_bytes: int) -> bytes:
        return self._file.read(max_bytes)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryStorage:
    """The Storage port over two dictionaries and a lock."""

    part_limits = PartLimits(preferred_bytes=64 * 1024, min_bytes=1, max_count=10_000, in_flight=2)

    def __init__(self) -> None:
        self._lock = Lock()
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Upload] = {}

    def put(self, key: str, data: Bytes, *, content_type: str) -> None:  # noqa: ARG002  (the port's signature)
        with self._lock:
            self._objects[checked_key(key)] = _Object(bytes(data), datetime.now(UTC))

    def put_file(self, key: str, path: Path, *, content_type: str) -> None:
        self.put(key, path.read_bytes(), content_type=content_type)

    def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> MemoryReader:
        data = self._object(key).data
        return MemoryReader(
            data[start : start + checked_range_bytes(len(data), start=start, size_bytes=size_bytes)]
        )

    def head(self, key: str) -> StoredObject:
        return _stored(key, self._object(key))

    def download(self, key: str, path: Path) -> None:
        data = self._object(key).data
        with translating_os_errors():
            path.write_bytes(data)

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._objects.pop(checked_key(key), None)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        is_directory = checked_prefix(prefix).endswith("/")
        with self._lock:
            found = [
                _stored(key, stored)
                for key, stored in self._objects.items()
                if key == prefix or (is_directory and key.startswith(prefix))
            ]
        yield from found

    def create_upload(self, key: str, *, content_type: str, part_size_bytes: int) -> str:  # noqa: ARG002
        upload_id = secrets.token_hex(8)
        with self._lock:
            self._uploads[upload_id] = _Upload(checked_key(key), part_size_bytes, datetime.now(UTC))
        return upload_id

    def put_part(self, key: str, upload_id: str, number: int, data: Bytes) -> PartReceipt:
        with self._lock:
            upload = self._upload(key, upload_id)
            if not 1 <= number <= self.part_limits.max_count or len(data) > upload.part_size_bytes:
                raise PartsMismatchError
            upload.parts[number] = bytes(data)
        return PartReceipt(number, len(data), _etag(data))

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartReceipt]) -> None:
        with self._lock:
            try:
                upload = self._upload(key, upload_id)
            except ObjectNotFoundError:
                stored = self._objects.get(key)
                if stored is None or len(stored.data) != sum(part.size_bytes for part in parts):
                    raise
                return
            checked_total_bytes(parts, part_size_bytes=upload.part_size_bytes)
            if any(_etag(upload.parts.get(part.number, b"")) != part.etag for part in parts):
                raise PartsMismatchError
            data = b"".join(upload.parts[part.number] for part in parts)
            self._objects[key] = _Object(data, datetime.now(UTC))
            del self._uploads[upload_id]

    def abort_upload(self, key: str, upload_id: str) -> None:
        checked_key(key)
        with self._lock:
            self._uploads.pop(upload_id, None)

    def fork_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, new_key: str, part_size_bytes: int
    ) -> ForkedUpload:
        new_id = self.create_upload(new_key, content_type="", part_size_bytes=part_size_bytes)
        if not parts:
            return ForkedUpload(new_id, ())
        with self._lock:
            old = self._upload(key, upload_id)
            if any(_etag(old.parts.get(part.number, b"")) != part.etag for part in parts):
                raise PartsMismatchError
            self._uploads[new_id].parts = {part.number: old.parts[part.number] for part in parts}
        return ForkedUpload(new_id, tuple(parts))

    def list_uploads(self) -> Iterator[OpenUpload]:
        with self._lock:
            found = [
                OpenUpload(upload.key, name, upload.started_at) for name, upload in self._uploads.items()
            ]
        yield from found

    def check(self) -> None:
        """Memory always answers."""

    def _object(self, key: str) -> _Object:
        with self._lock:
            stored = self._objects.get(checked_key(key))
        if stored is None:
            raise ObjectNotFoundError(key)
        return stored

    def _upload(self, key: str, upload_id: str) -> _Upload:
        checked_key(key)
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise ObjectNotFoundError(key)
        return upload


def _stored(key: str, stored: _Object) -> StoredObject:
    return StoredObject(key, len(stored.data), stored.modified_at)


def _etag(data: Bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
