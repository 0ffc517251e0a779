"""Keyset pages: stable under inserts, and as cheap at the end as at the start. Core room."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARACTERS = 2100
"""A name of 255 characters in JSON, six bytes for each, in base64."""

_ID_BYTES = 16
Row = TypeVar("Row")

_MAX_INTEGER = 2**63 - 1
"""What a database can compare with."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: after this row, which had this value in the column that orders the list."""

    last_id: UUID
    value: str | int | None = None


def encode_cursor(after: Cursor) -> str:
    """An opaque name for a place in a list."""
    text = "" if after.value is None else json.dumps(after.value)
    return base64.urlsafe_b64encode(after.last_id.bytes + text.encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> Cursor | None:
    """Raises MediaServiceError (invalid) for a cursor that we did not make."""
    if cursor is None:
        return None
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return Cursor(UUID(bytes=data[:_ID_BYTES]), _decode_value(data[_ID_BYTES:]))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise bad_cursor("The cursor is not one that this service gave.") from error


def cut_page(
    rows: list[Row], limit: int, cursor_after: Callable[[Row], Cursor]
) -> tuple[list[Row], str | None]:
    """The rows of a page, and where the next one begins; of `limit + 1` that were asked for.

    One row more than a page holds tells whether another page follows.
    """
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor(cursor_after(rows[limit - 1]))


def bad_cursor(detail: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.INVALID, "bad-cursor", detail)


def _decode_value(text: bytes) -> str | int | None:
    if not text:
        return None
    value = json.loads(text)
    if isinstance(value, str) and "\x00" not in value:
        value.encode()  # half of a surrogate pair is no text for a database
        return value
    if type(value) is int and abs(value) <= _MAX_INTEGER:
        return value
    raise ValueError("no value of a column")
