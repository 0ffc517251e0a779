"""JPEG: bytes between the segments of a header, where cameras and editors leave some. Runs in the child.

ITU-T T.81 §B.1.1 has no place for them. Browsers skip them; libjpeg too, but with a warning, and a missing
half of the picture is no more to it.
"""

from collections.abc import Iterator
from pathlib import Path

_HEADER_BYTES = 1024 * 1024
"""Where the first scan must begin for this to be tried; profiles and previews come to some 100 kB."""

_FILL, _START_OF_SCAN, _END_OF_IMAGE = 0xFF, 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})


def without_junk(source: Path) -> bytes | None:
    """The file without what lies between its segments before the first scan; None if nothing does."""
    with source.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        clean = b"".join(_segments(head))
        return None if len(clean) == len(head) else clean + file.read()


def _segments(head: bytes) -> Iterator[bytes]:
    """The start of image, every segment up to the first scan's, and the rest."""
    yield head[:2]
    place = 2
    while (place := head.find(b"\xff", place)) >= 0:
        code = head[place + 1 : place + 2]
        if code in {b"", bytes([_FILL])}:
            place += 1
        elif code[0] in _WITHOUT_LENGTH:
            place += 2
        else:
            length = int.from_bytes(head[place + 2 : place + 4], "big")
            begin, place = place, place + 2 + max(length, 2)  # it counts itself, whatever it says
            yield head[begin:place]
            if code[0] in {_START_OF_SCAN, _END_OF_IMAGE}:
                yield head[place:]
                return
