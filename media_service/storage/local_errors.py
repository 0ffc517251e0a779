"""Translates errors of the operating system into storage errors. Worker room.

Also used by other storages where they write a file of this machine.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from media_service.storage.exceptions import ObjectNotFoundError, StorageFullError, StorageUnavailableError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room on the device, none in the quota, or a larger file than the file system or RLIMIT_FSIZE allows."""

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""All three say "no file has this path": a key may be the beginning of another key's path."""


@contextmanager
def translating_os_errors(missing_key: str | None = None) -> Iterator[None]:
    """Raise a StorageError in place of an OSError.

    Only with `missing_key` is a missing file a missing object; for a write it means that the root is gone.
    """
    try:
        yield
    except MISSING as error:
        raise (
            StorageUnavailableError() if missing_key is None else ObjectNotFoundError(missing_key)
        ) from error
    except OSError as error:
        raise (StorageFullError() if error.errno in FULL else StorageUnavailableError()) from error
