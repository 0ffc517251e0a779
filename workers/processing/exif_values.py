"""Single EXIF values as JSON-safe ones. Runs in the child. None for whatever is not of the kind asked for."""

import math
import unicodedata
from typing import SupportsFloat

MAX_STRING_CHARS = 256
"""Camera and lens names end below 64. Longer text in EXIF is a caption at best and a payload at worst."""

_MAX_EXACT_INTEGER = 2**53
"""What JSON readers hold exactly (RFC 8259 §6); a hostile tag may hold more."""


def to_text(value: object) -> str | None:
    """Text without control, format, surrogate or private characters, at most MAX_STRING_CHARS."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    # Cut first: a megabyte of text must not cost a megabyte of look-ups.
    kept = (char for char in value[: 4 * MAX_STRING_CHARS] if not unicodedata.category(char).startswith("C"))
    return "".join(kept).strip()[:MAX_STRING_CHARS]


def to_number(value: object) -> float | None:
    """A finite number with at most nine decimals; a rational by zero is None."""
    if not isinstance(value, SupportsFloat):
        return None
    try:
        number = float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return round(number, 9) if math.isfinite(number) else None


def to_integer(value: object) -> int | None:
    """An integer, or the first of several (sensitivity may be a pair)."""
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) and abs(first) < _MAX_EXACT_INTEGER else None
