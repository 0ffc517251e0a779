"""Single values of upload headers, whatever protocol. Core room."""

from collections.abc import Mapping

from media_service.uploads.resumable.errors import bad_upload_header

MAX_DIGITS = 18
"""More bytes than any storage has; Python itself refuses to read numbers of thousands of digits."""


def number_of(headers: Mapping[str, str], name: str) -> int | None:
    """A header that is a number of bytes, None if it is missing. Raises MediaServiceError (invalid)."""
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise bad_upload_header(name, "is no whole number of bytes")
    return int(text)


def flag_of(headers: Mapping[str, str], name: str) -> bool | None:
    """A header that is a boolean (RFC 9651 §3.3.6), None if it is missing. Raises MediaServiceError."""
    text = headers.get(name)
    if text is None:
        return None
    if text.strip() not in {"?0", "?1"}:
        raise bad_upload_header(name, "is neither ?1 nor ?0")
    return text.strip() == "?1"


def media_type(headers: Mapping[str, str]) -> str:
    """The content type of the body, without parameters."""
    return headers.get("content-type", "").split(";")[0].strip().lower()
