"""Keeps objects in a directory of this machine. Worker room: every call blocks.

Objects lie under `root/objects`, unfinished files under `root/partial` on the same file system, so that a
rename makes an object appear whole or not at all. `local_paths` says how both are spelled. Several processes
may share a root; nothing is kept in memory.
"""

# ruff: noqa: PTH108, PTH116, PTH120  (a Path object costs microseconds at each step of the hottest write path)

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

from media_service.storage.checks import checked_total_bytes
from media_service.storage.exceptions import ObjectNotFoundError, PartsMismatchError, StorageUnavailableError
from media_service.storage.keys import checked_key, checked_prefix, is_key
from media_service.storage.local_errors import MISSING, translating_os_errors
from media_service.storage.local_files import (
    DIRECTORY_MODE,
    FILE_MODE,
    copy_all,
    copy_start,
    open_locked,
    remove_empty_directories,
    rename_durably,
    write_all,
)
from media_service.storage.local_paths import PartialName, key_of_path, listing_path, object_path, shard_path
from media_service.storage.local_reader import LocalReader
from media_service.storage.local_receipts import check_survived, receipt_for
from media_service.storage.port import Bytes, ForkedUpload, OpenUpload, PartLimits, PartReceipt, StoredObject

_MIB = 1024 * 1024


class LocalStorage:
    """The Storage port over a directory.

    An upload id is made here and checked before it becomes part of a path. `list_uploads` also shows what a
    crashed `put` left behind, so that the sweeper can remove both in one way.
    """

    # 1 MiB: written in well under a millisecond; larger parts only hold more memory. No part is too small
    # for a file, and the count is bounded by the integers in a file name, not by the file system.
    part_limits = PartLimits(preferred_bytes=_MIB, min_bytes=1, max_count=1_000_000, in_flight=2)

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = str(root / "objects")
        self._partial = str(root / "partial")
        with translating_os_errors():
            for directory in (root, root / "objects", root / "partial"):
                directory.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)

    def put(self, key: str, data: Bytes, *, content_type: str) -> None:  # noqa: ARG002  (the port's signature)
        with translating_os_errors(), self._new_object(key) as fd:
            write_all(fd, data, 0)

    def put_file(self, key: str, path: Path, *, content_type: str) -> None:  # noqa: ARG002
        with path.open("rb", buffering=0) as source, translating_os_errors(), self._new_object(key) as fd:
            copy_all(source.fileno(), fd)

    @contextmanager
    def _new_object(self, key: str) -> Iterator[int]:
        """A new file to write to, which becomes the object when the block ends well and vanishes if not."""
        name = PartialName.new("put", checked_key(key), part_size_bytes=0)
        path = self._partial_path(name)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            yield fd
            os.fsync(fd)
            rename_durably(path, self._object_path(key), base=self._objects)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(fd)

    def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> LocalReader:
        return LocalReader(Path(self._object_path(checked_key(key))), key, start=start, size_bytes=size_bytes)

    def head(self, key: str) -> StoredObject:
        with translating_os_errors(key):
            status = os.stat(self._object_path(checked_key(key)))
        if not S_ISREG(status.st_mode):
            raise ObjectNotFoundError(key)
        return _stored(key, status)

    def download(self, key: str, path: Path) -> None:
        """A copy, never a hard link: whoever works on it must not reach the original's bytes."""
        with self.open(key) as reader, translating_os_errors():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            try:
                copy_all(reader.fileno(), fd)
            finally:
                os.close(fd)

    def delete(self, keys: Iterable[str]) -> None:
        """Not fsynced: an object that a power cut brings back is owned by no row, and swept."""
        for key in keys:
            path = self._object_path(checked_key(key))
            with translating_os_errors(), suppress(*MISSING):
                os.unlink(path)
            remove_empty_directories(os.path.dirname(path), stop=f"{self._objects}/{shard_path(key)}")

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        if checked_prefix(prefix).endswith("/"):
            yield from self._list_directory(f"{self._objects}/{listing_path(prefix)}")
        else:
            with suppress(ObjectNotFoundError):
                yield self.head(prefix)

    def _list_directory(self, path: str) -> Iterator[StoredObject]:
        for entry in _entries(path):
            with translating_os_errors(), suppress(FileNotFoundError):  # deleted since it was listed
                if entry.is_file(follow_symlinks=False):
                    key = key_of_path(os.path.relpath(entry.path, self._objects))
                    if is_key(key):  # a person may have put something here
                        yield _stored(key, entry.stat())
            if entry.is_dir(follow_symlinks=False):
                yield from self._list_directory(entry.path)

    def create_upload(self, key: str, *, content_type: str, part_size_bytes: int) -> str:  # noqa: ARG002
        name = PartialName.new("upload", checked_key(key), part_size_bytes=part_size_bytes)
        with translating_os_errors():
            os.close(os.open(self._partial_path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        return name.upload_id

    def put_part(self, key: str, upload_id: str, number: int, data: Bytes) -> PartReceipt:
        """Written at its place in the file; `local_receipts` says what holds until it is fsynced."""
        name = self._upload_name(key, upload_id)
        if not 1 <= number <= self.part_limits.max_count or len(data) > name.part_size_bytes:
            raise PartsMismatchError
        with translating_os_errors(key):
            fd = open_locked(self._partial_path(name), os.O_WRONLY, fcntl.LOCK_SH)
        try:
            with translating_os_errors():
                write_all(fd, data, (number - 1) * name.part_size_bytes)
        finally:
            os.close(fd)
        return receipt_for(number, data)

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartReceipt]) -> None:
        name = self._upload_name(key, upload_id)
        total_bytes = checked_total_bytes(parts, part_size_bytes=name.part_size_bytes)
        try:
            with translating_os_errors(key):
                fd = open_locked(self._partial_path(name), os.O_RDWR, fcntl.LOCK_EX)
        except ObjectNotFoundError:
            if self.head(key).size_bytes != total_bytes:
                raise
            return
        try:
            self._finish(fd, name, parts, total_bytes)
        finally:
            os.close(fd)

    def _finish(self, fd: int, name: PartialName, parts: Sequence[PartReceipt], total_bytes: int) -> None:
        """Turn a locked partial file into its object."""
        with translating_os_errors():
            if os.fstat(fd).st_size < total_bytes:
                raise PartsMismatchError
            check_survived(fd, parts, part_size_bytes=name.part_size_bytes)
            os.ftruncate(fd, total_bytes)  # a part that was put again with fewer bytes leaves a tail
            try:
                os.fsync(fd)
            except OSError:
                # The kernel forgets pages it could not write, and the next fsync would succeed without them
                # (fsync(2), "fsyncgate" 2018): the upload must not be completed by a second try.
                os.unlink(self._partial_path(name))
                raise
            rename_durably(self._partial_path(name), self._object_path(name.key), base=self._objects)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Also removes the file of a crashed `put`, which `list_uploads` shows."""
        name = PartialName(checked_key(key), upload_id)
        if name.is_wellformed:
            with translating_os_errors(), suppress(FileNotFoundError):
                os.unlink(self._partial_path(name))

    def fork_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, new_key: str, part_size_bytes: int
    ) -> ForkedUpload:
        """A copy: the old file may be open in a process that is only stopped, so it cannot be taken over."""
        new_id = self.create_upload(new_key, content_type="", part_size_bytes=part_size_bytes)
        if not parts:
            return ForkedUpload(new_id, ())
        old, new = self._upload_name(key, upload_id), PartialName(new_key, new_id)
        try:
            with translating_os_errors(key):
                source = os.open(self._partial_path(old), os.O_RDONLY)
            try:
                with translating_os_errors():
                    check_survived(source, parts, part_size_bytes=part_size_bytes)
                    self._copy_parts(source, new, len(parts) * part_size_bytes)
            finally:
                os.close(source)
        except BaseException:
            self.abort_upload(new_key, new_id)
            raise
        return ForkedUpload(new_id, tuple(parts))

    def _copy_parts(self, source: int, new: PartialName, size_bytes: int) -> None:
        target = os.open(self._partial_path(new), os.O_WRONLY)
        try:
            if copy_start(source, target, size_bytes) < size_bytes:
                raise PartsMismatchError
        finally:
            os.close(target)

    def list_uploads(self) -> Iterator[OpenUpload]:
        for entry in _entries(self._partial):
            name = PartialName.from_file_name(entry.name)
            if name is not None and is_key(name.key):
                yield OpenUpload(name.key, name.upload_id, name.started_at)

    def check(self) -> None:
        """Does not look at free space: a full storage still serves downloads, and a put says "full"."""
        with translating_os_errors():
            os.statvfs(self._root)
        if not all(os.access(path, os.R_OK | os.W_OK | os.X_OK) for path in (self._objects, self._partial)):
            raise StorageUnavailableError

    def _upload_name(self, key: str, upload_id: str) -> PartialName:
        name = PartialName(checked_key(key), upload_id)
        if not name.is_upload:
            raise ObjectNotFoundError(key)
        return name

    def _object_path(self, key: str) -> str:
        return f"{self._objects}/{object_path(key)}"

    def _partial_path(self, name: PartialName) -> str:
        return f"{self._partial}/{name.file_name}"


def _stored(key: str, status: os.stat_result) -> StoredObject:
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _entries(path: str) -> list[os.DirEntry[str]]:
    """What a directory holds now; nothing if it is gone. A list, so that the caller may delete as it goes."""
    with translating_os_errors(), suppress(*MISSING), os.scandir(path) as entries:
        return list(entries)
    return []
