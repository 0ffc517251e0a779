"""Single EXIF values as JSON-safe ones. Runs in the child. None for whatever is not of the kind asked for."""

import math
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import SupportsFloat

MAX_STRING_CHARS = 256
"""Camera and lens names end below 64. Longer text in EXIF is a caption at best and a payload at worst."""

MAX_TEXTS, MAX_ITEM_CHARS = 32, 64
"""Of keywords and creators. All metadata at its longest must fit a child's line (`protocol`) at 4 bytes a
character."""

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


def to_texts(values: Iterable[object]) -> list[str]:
    """The first MAX_TEXTS that are not empty, each cut at MAX_ITEM_CHARS."""
    texts = (to_text(value) for value in values)
    return [text[:MAX_ITEM_CHARS] for text in islice(filter(None, texts), MAX_TEXTS)]


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
