"""What the service asks of a place that keeps bytes. Core room: types only.

The port is blocking, since boto3 and file systems are; the API reaches it through `storage/aio.py`, which
runs each call in a bounded pool of threads. Every implementation is safe to use from many threads at once
and passes `tests/contract/test_storage.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the storage knows of an object."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """Proof that a storage holds a part. `number` counts from 1 (S3 UploadPart)."""

    number: int
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was created and neither completed nor aborted."""

    key: str
    upload_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class ForkedUpload:
    """An upload that begins with the parts of another one."""

    upload_id: str
    parts: tuple[PartReceipt, ...]


@dataclass(frozen=True, slots=True)
class PartLimits:
    """How a storage likes its parts (S3: 5 MiB to 5 GiB, at most 10,000; all but the last of one size)."""

    preferred_bytes: int
    min_bytes: int
    max_count: int
    in_flight: int
    """Parts of one upload that may be on their way at once; each holds its bytes in memory."""


class BlobReader(Protocol):
    """The bytes of an object, or of a range of it, read once from front to back."""

    size_bytes: int
    """Bytes that this reader will give in all."""

    def read(self, max_bytes: int) -> bytes:
        """At least one byte, at most `max_bytes`; `b""` only at the end.

        Raises StorageUnavailableError if the storage breaks off before `size_bytes` were read: never a
        short read that looks like the end.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Storage(Protocol):
    """Keeps immutable objects under keys that `storage/keys.py` spells. All calls block.

    Every call may raise StorageUnavailableError; a write may raise StorageFullError.
    """

    part_limits: PartLimits

    def put(self, key: str, data: Bytes, *, content_type: str) -> None:
        """Store a whole object; on return it is durable. Replaces what had the key, atomically."""
        ...

    def put_file(self, key: str, path: Path, *, content_type: str) -> None:
        """Store a file of this machine as `put` does, with bounded memory. The file stays as it is."""
        ...

    def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> BlobReader:
        """Open an object, or `size_bytes` of it from `start`. Raises ObjectNotFoundError.

        The caller has checked the range against the object's size; a range of zero bytes is legal.
        """
        ...

    def head(self, key: str) -> StoredObject:
        """Describe an object. Raises ObjectNotFoundError."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file of this machine. Raises ObjectNotFoundError."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; a key that has none is no error."""
        ...

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix` (a whole key or one ending in "/"), in any order."""
        ...

    def create_upload(self, key: str, *, content_type: str, part_size_bytes: int) -> str:
        """Begin a multipart upload and return its id. Nothing has the key until it is completed."""
        ...

    def put_part(self, key: str, upload_id: str, number: int, data: Bytes) -> PartReceipt:
        """Store a part; on return a completed upload would contain it. Parts may come in any order.

        All parts have `part_size_bytes` bytes but the one with the highest number. Raises
        ObjectNotFoundError if the upload is unknown (completed, aborted, swept).
        """
        ...

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartReceipt]) -> None:
        """Make the object out of its parts (in order of number), atomically and durably.

        Raises ObjectNotFoundError if the upload is unknown and the object does not exist: a second
        completion, or one whose first answer was lost, succeeds.
        """
        ...

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Forget an upload and its parts; an unknown one is no error."""
        ...

    def fork_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, new_key: str, part_size_bytes: int
    ) -> ForkedUpload:
        """Begin an upload of `new_key` with these whole parts of another upload (numbers 1 to n, or none).

        Whoever still writes to the old upload reaches nothing of the new one. May be called again if its
        answer was lost. What is left of the old one (an object at its key) is the caller's to delete, once
        the new one is written down. Raises ObjectNotFoundError if there are parts and they are gone.
        """
        ...

    def list_uploads(self) -> Iterator[OpenUpload]:
        """Every open multipart upload."""
        ...

    def check(self) -> None:
        """Cheaply show that the storage answers and can be used (for `/readyz` and the start)."""
        ...


@runtime_checkable
class PresignsDownloads(Protocol):
    """An optional ability: URLs that the storage itself answers, without the service."""

    def presign_download(
        self, key: str, *, expires_in: timedelta, content_type: str, content_disposition: str
    ) -> str:
        """A URL for one GET-able object, signed for the public endpoint; at most 7 days (SigV4)."""
        ...


@runtime_checkable
class PresignsUploads(Protocol):
    """An optional ability: parts that clients send to the storage itself, without the service."""

    def presign_part(
        self, key: str, upload_id: str, number: int, *, size_bytes: int | None, expires_in: timedelta
    ) -> str:
        """A URL for the PUT of one part, signed for the public endpoint; at most 7 days (SigV4).

        The storage refuses a body of another length than `size_bytes`, if that is given. The URL is of no use
        once the upload is completed or aborted.
        """
        ...

    def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        """The parts that the storage holds, in order of number. Raises ObjectNotFoundError."""
        ...
