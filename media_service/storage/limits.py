"""How large the parts of an upload are. Core room."""

from media_service.storage.port import PartLimits

MEBIBYTE = 1024 * 1024


def part_size_for(limits: PartLimits, *, length_bytes: int) -> int:
    """The size of all parts but the last, for an upload of at most `length_bytes`.

    The preferred size, or as much larger as `max_count` parts (S3: 10,000) ask for, in whole MiB.
    """
    needed = -(-length_bytes // limits.max_count)
    if needed <= limits.preferred_bytes:
        return limits.preferred_bytes
    return -(-needed // MEBIBYTE) * MEBIBYTE
