"""What every storage checks alike before it trusts an argument. Core room: pure.

S3 would find some of these itself, but each compatible store finds others; checked here, all storages refuse
the same things with the same error.
"""

from collections.abc import Sequence

from media_service.storage.exceptions import PartsMismatchError, StorageUnavailableError
from media_service.storage.port import PartReceipt


def checked_total_bytes(parts: Sequence[PartReceipt], *, part_size_bytes: int) -> int:
    """The size of the object that these parts make.

    Raises PartsMismatchError unless they are numbered 1 to n in order and all but the last have exactly
    `part_size_bytes` bytes, the last at most as many.
    """
    if not parts:
        raise PartsMismatchError
    numbers_fit = all(part.number == number for number, part in enumerate(parts, start=1))
    full_ones_fit = all(part.size_bytes == part_size_bytes for part in parts[:-1])
    if not numbers_fit or not full_ones_fit or parts[-1].size_bytes > part_size_bytes:
        raise PartsMismatchError
    return sum(part.size_bytes for part in parts)


def checked_range_bytes(object_bytes: int, *, start: int, size_bytes: int | None) -> int:
    """How many bytes a reader from `start` will give; `size_bytes=None` means up to the end.

    Raises StorageUnavailableError if the object ends before the range does: the caller has checked the range
    against what the database says, so it is the stored object that is too short.
    """
    wanted_bytes = object_bytes - start if size_bytes is None else size_bytes
    if start < 0 or wanted_bytes < 0 or start + wanted_bytes > object_bytes:
        raise StorageUnavailableError
    return wanted_bytes
