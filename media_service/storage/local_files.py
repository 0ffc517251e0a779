"""Durable steps on files: write all, copy all, rename and make directories with fsync. Worker room.

Every function raises the OSError it meets; `local_errors` translates.
"""

# ruff: noqa: PTH102, PTH104, PTH106, PTH116, PTH120, PTH206  (strings: a Path object costs microseconds)

import errno
import fcntl
import os
from contextlib import suppress

from media_service.storage.port import Bytes

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
"""Users' private files: nobody else on the machine may read them."""

_COPY_BYTES = 1024 * 1024
"""Buffer of a copy through user space. Larger gains no speed, smaller costs system calls."""

_KERNEL_COPY_BYTES = 1 << 30
"""Asked of the kernel at once; it may copy less. Below the 2 GiB at which Linux cuts any transfer."""

_NO_KERNEL_COPY = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
"""What copy_file_range(2) answers where two file systems cannot do it between them."""

_RENAME_ATTEMPTS = 100
"""A delete may remove the directory that was just made, each time again; a hundred in a row are no race."""


def write_all(fd: int, data: Bytes, offset_bytes: int) -> None:
    """Write all bytes at an offset: one pwrite(2) may write less, as when the device is nearly full."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset_bytes)
        rest = rest[written:]
        offset_bytes += written


def copy_all(source_fd: int, target_fd: int) -> None:
    """Copy a whole file, by reference where the file system can (XFS, Btrfs), with bounded memory."""
    if not _kernel_copied(source_fd, target_fd):
        offset_bytes = 0
        while chunk := os.pread(source_fd, _COPY_BYTES, offset_bytes):
            write_all(target_fd, chunk, offset_bytes)
            offset_bytes += len(chunk)


def copy_start(source_fd: int, target_fd: int, size_bytes: int) -> int:
    """Copy the first `size_bytes` of a file, with bounded memory; returns how many there were."""
    copied = 0
    while copied < size_bytes and (
        chunk := os.pread(source_fd, min(_COPY_BYTES, size_bytes - copied), copied)
    ):
        write_all(target_fd, chunk, copied)
        copied += len(chunk)
    return copied


def _kernel_copied(source_fd: int, target_fd: int) -> bool:
    """Whether copy_file_range(2) exists (Linux only) and copied everything; some file systems stop early."""
    copy_file_range = getattr(os, "copy_file_range", None)
    if copy_file_range is None:
        return False
    copied = 0
    try:
        while count := copy_file_range(source_fd, target_fd, _KERNEL_COPY_BYTES):
            copied += count
    except OSError as error:
        if error.errno in _NO_KERNEL_COPY:
            return False
        raise
    return copied == os.fstat(source_fd).st_size


def fsync_directory(path: str) -> None:
    """Make names in a directory durable (fsync(2): a file's own fsync does not cover its name)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directories(base: str, path: str) -> None:
    """Make the directories from `base` down to `path`, durably.

    `base` itself is never made: if it is gone, the volume is not mounted, and writing beneath its mount point
    would hide the objects once it is. Raises FileNotFoundError then.
    """
    parent = base
    for name in os.path.relpath(path, base).split(os.sep):
        directory = f"{parent}{os.sep}{name}"
        with suppress(FileExistsError):
            os.mkdir(directory, DIRECTORY_MODE)
            fsync_directory(parent)
        parent = directory


def rename_durably(source: str, target: str, *, base: str) -> None:
    """Give a file its final name below `base`, atomically; on return the name survives a power cut.

    Directories are made only when the first rename misses one, so that the usual case pays nothing. Raises
    FileNotFoundError if the source or `base` is gone.
    """
    directory = os.path.dirname(target)
    for _ in range(_RENAME_ATTEMPTS):
        try:
            os.rename(source, target)
        except FileNotFoundError:
            os.stat(source)
            os.stat(base)
            # A delete that meets us here removes an empty directory that we just made, or need.
            with suppress(FileNotFoundError):
                make_directories(base, directory)
        else:
            # The directory can only be gone if somebody has deleted the new object already.
            with suppress(FileNotFoundError):
                fsync_directory(directory)
            return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), target)


def remove_empty_directories(path: str, *, stop: str) -> None:
    """Remove `path` and its parents below `stop` while they are empty.

    rmdir(2) refuses a directory with anything in it, so a concurrent put loses nothing; at worst its rename
    misses the directory and makes it again.
    """
    with suppress(OSError):
        while path != stop:
            os.rmdir(path)
            path = os.path.dirname(path)


def open_locked(path: str, flags: int, lock: int) -> int:
    """Open a file and take a flock(2) on it; raises FileNotFoundError if it lost its name while we waited.

    A part that is written while its upload is completed could otherwise alter the finished object.
    """
    fd = os.open(path, flags)
    try:
        fcntl.flock(fd, lock)
        os.stat(path)
    except BaseException:
        os.close(fd)
        raise
    return fd
