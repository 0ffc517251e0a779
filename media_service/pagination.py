"""Keyset pages: stable under inserts, and as cheap at the end as at the start. Core room."""

import base64
import binascii
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


def encode_cursor(last_id: UUID) -> str:
    """An opaque name for "after this row"."""
    return base64.urlsafe_b64encode(last_id.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str | None) -> UUID | None:
    """Raises MediaServiceError (invalid) for a cursor that we did not make."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise MediaServiceError(
            ErrorKind.INVALID, "bad-cursor", "The cursor is not one that this service gave."
        ) from error
