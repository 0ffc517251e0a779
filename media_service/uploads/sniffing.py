"""The content type of a file by its first bytes. Core room: bytes in, a type out; nothing is decoded.

Names and declared types are not believed. `filetype` knows the signatures of media formats in a tenth of a
millisecond; what it does not know (text, documents, archives) libmagic is asked, which is slower and knows
more. Whether a file really is what its first bytes claim, only its decoder can tell, in the sandbox.
"""

from collections.abc import Callable
from contextlib import suppress

import filetype

HEAD_BYTES = 4096
"""Enough for every signature; ISO media and archives have theirs in the first few hundred bytes."""

UNKNOWN = "application/octet-stream"

# Spellings that differ between sources and mean one type; IANA's is kept.
_SYNONYMS = {
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/x-ms-bmp": "image/bmp",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "video/x-m4v": "video/mp4",
    "application/x-gzip": "application/gzip",
    "text/xml": "application/xml",
    "inode/x-empty": UNKNOWN,
    "application/x-empty": UNKNOWN,
}

# ISO base media files name their brand in bytes 8 to 12 (ISO/IEC 14496-12 §4.3); `filetype` wants some
# brands in an order that cameras do not keep.
_BRANDS = {
    b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic", b"heis": "image/heic",
    b"hevc": "image/heic", b"mif1": "image/heif", b"msf1": "image/heif",
    b"avif": "image/avif", b"avis": "image/avif",
}  # fmt: skip


def sniff(head: bytes) -> str:
    """The content type of a file that begins with `head` (at least HEAD_BYTES, unless it is shorter)."""
    found = _by_brand(head) or filetype.guess_mime(head) or _by_libmagic(head)
    return _SYNONYMS.get(found, found)


def _by_brand(head: bytes) -> str | None:
    return _image_brand(head) if head[4:8] == b"ftyp" else None


def _image_brand(head: bytes) -> str | None:
    box = head[8 : min(int.from_bytes(head[:4], "big"), len(head))]
    brands = [box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))]
    if brands[0] not in _BRANDS:
        return None
    # mif1 only says "some HEIF"; a more exact brand beside it decides.
    named = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    exact = [name for name in named if name != "image/heif"]
    return (exact or named)[0]


def _load_libmagic() -> Callable[[bytes], str]:
    # On a platform without the wheel, python-magic looks for the system's library.
    with suppress(ImportError):
        import pylibmagic  # noqa: F401 - points python-magic at the bundled library
    try:
        import magic
    except ImportError:
        return _by_text
    detector = magic.Magic(mime=True)
    return detector.from_buffer


def _by_text(head: bytes) -> str:
    """The answer where there is no libmagic: text, or unknown."""
    if not head or b"\0" in head:
        return UNKNOWN
    try:
        # A character may be cut in two at the end of the head.
        head[: len(head) - 3 if len(head) >= HEAD_BYTES else len(head)].decode()
    except UnicodeDecodeError:
        return UNKNOWN
    return "text/plain"


_by_libmagic = _load_libmagic()
