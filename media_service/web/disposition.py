"""Content-Disposition, and which types a browser may show inline. Core room."""

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

Disposition = Literal["inline", "attachment"]

INLINE_TYPES = frozenset(
    {
        *(
            f"image/{name}"
            for name in (
                "jpeg",
                "png",
                "apng",
                "webp",
                "gif",
                "avif",
                "bmp",
                "tiff",
                "x-icon",
                "heic",
                "heif",
            )
        ),
        *(f"video/{name}" for name in ("mp4", "webm", "quicktime")),
        *(f"audio/{name}" for name in ("mpeg", "mp4", "ogg", "flac", "wav", "x-wav")),
        "application/pdf",
        "text/plain",
    }
)
"""Types that no browser runs as a program of this origin; HTML, SVG, XML and scripts are not among them."""

# RFC 8187 §3.2.1 attr-char, beyond letters and digits.
_ATTR_CHARACTERS = "!#$&+-.^_`|~"
_NOT_PRINTABLE_ASCII = re.compile(r"[^\x20-\x7e]")


def content_disposition(filename: str, *, content_type: str, wanted: Disposition | None) -> str:
    """The header for a download: RFC 6266 with an ASCII fallback, and the whole name by RFC 8187.

    A type that a browser could run is always an attachment, whatever is wanted.
    """
    default: Disposition = "inline"
    disposition = (wanted or default) if content_type in INLINE_TYPES else "attachment"
    simple = _ascii_fallback(filename)
    header = f'{disposition}; filename="{simple}"'
    if simple != filename:
        header += f"; filename*=UTF-8''{quote(filename, safe=_ATTR_CHARACTERS)}"
    return header


def _ascii_fallback(filename: str) -> str:
    """The nearest name that every client reads: accents dropped, the rest of the non-ASCII as `_`.

    A percent sign is replaced too, since some clients decode it (RFC 6266 appendix D). So is the slash that
    comes out of a full-width one: the plain name must not become a path.
    """
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", filename)
        if not unicodedata.combining(character)
    )
    plain = re.sub(r'["\\/%]', "_", _NOT_PRINTABLE_ASCII.sub("_", plain))
    return plain if plain.strip(".") else "_"
