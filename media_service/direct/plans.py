"""How the bytes of a direct upload are cut into parts. Core room: pure."""

from dataclasses import dataclass, replace
from typing import Self

from media_service.storage.limits import part_size_for
from media_service.storage.port import PartLimits

MAX_PARTS = 10_000
"""Of S3 ("Multipart upload limits"); local storage has its bounds elsewhere, and one contract is enough."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """All parts but the last have `part_size_bytes`; a size of None is not known before the end."""

    size_bytes: int | None
    part_size_bytes: int

    @classmethod
    def of(
        cls, limits: PartLimits, *, size_bytes: int | None, wanted_part_bytes: int, piece_bytes: int
    ) -> Self:
        """As large as wanted, or as much larger as the number of parts asks for; whole pieces."""
        bounded = replace(limits, preferred_bytes=wanted_part_bytes, max_count=MAX_PARTS)
        part_bytes = part_size_for(bounded, length_bytes=size_bytes or 0)
        return cls(size_bytes, -(-part_bytes // piece_bytes) * piece_bytes)

    @property
    def is_single(self) -> bool:
        return self.size_bytes is not None and self.size_bytes <= self.part_size_bytes

    @property
    def count(self) -> int:
        """How many parts there are, or may be; an empty file has one, too."""
        return MAX_PARTS if self.size_bytes is None else max(-(-self.size_bytes // self.part_size_bytes), 1)

    def length_of(self, number: int) -> int | None:
        """Bytes of a part; None if only the greatest length is known, which is the size of a part."""
        if self.size_bytes is None:
            return None
        return min(self.part_size_bytes, self.size_bytes - (number - 1) * self.part_size_bytes)
