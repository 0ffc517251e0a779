"""The Range header (RFC 9110 §14). Core room: headers in, numbers out."""

import re
from dataclasses import dataclass

from media_service.exceptions import ErrorKind, MediaServiceError

_SINGLE_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to `end` of a file, both included, both inside it."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.start + 1

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.end}/{size_bytes}"


def parse_range(header: str | None, *, size_bytes: int) -> ByteRange | None:
    """The range to send, or None for the whole file.

    A header that is malformed, of another unit, or asks for several ranges is ignored, as §14.2 allows.
    Raises MediaServiceError (range not satisfiable) if the range begins beyond the end.
    """
    match = _SINGLE_RANGE.fullmatch(header) if header is not None else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(size_bytes - int(last), 0), size_bytes - 1
        satisfiable = int(last) > 0 and size_bytes > 0
    else:
        start, end = int(first), min(int(last or size_bytes), size_bytes - 1)
        if last and int(last) < start:
            return None
        satisfiable = start < size_bytes
    if not satisfiable:
        raise MediaServiceError(
            ErrorKind.RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            f"The file has {size_bytes} bytes; the range begins beyond them.",
            size_bytes=size_bytes,
        )
    return ByteRange(start, end)
