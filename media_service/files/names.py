"""Names of files as users give them. Core room.

A name is only ever shown and sent back; it never becomes a path, a key or an argument.
"""

import re
import unicodedata

MAX_NAME_BYTES = 255
"""What file systems take as one name, so that a download can be saved under it."""

UNNAMED = "unnamed"

# Letters that reorder text can make `gpj.exe` read as `exe.jpg` (Unicode TR 36 §3.2).
_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Controls (Cc) and the line breaks of Unicode: a name is one line, in a list as in a log.
_BREAKING = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_UNSAFE = re.compile(f"[{_REORDERING}{_BREAKING}]")


def clean_name(given: str) -> str:
    """A name that is safe to show: no directories, no control characters, NFC, at most 255 bytes of UTF-8.

    Old browsers send the whole path of their machine, with its own separator.
    """
    name = re.split(r"[/\\]", given)[-1].encode("utf-8", "replace").decode()
    # Composed last: what stood between a letter and its accent is gone by then.
    name = _shorten(unicodedata.normalize("NFC", _UNSAFE.sub("", name)).strip()).strip()
    return name if name.strip(".") else UNNAMED


def _shorten(name: str) -> str:
    """Cut the stem, not the extension, and no character in two."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > 20:
        stem, dot, extension = name, "", ""
    room = MAX_NAME_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + extension
