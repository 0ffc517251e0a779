"""What the headers of an upload say. Core room."""

import base64
import binascii
import re
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header

from media_service.exceptions import ErrorKind, MediaServiceError

_SHA256_MEMBER = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):", re.ASCII)
"""One member of a dictionary of digests (RFC 9530 §2, RFC 9651 §3.3.5); others may stand beside it."""

_NAMES_SHA256 = re.compile(r"(?:^|,)\s*sha-256\s*(?:[=;,]|$)", re.ASCII)

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PARAMETER = re.compile(r";\s*([^\s=;\"]+)\s*=", re.ASCII)
_EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE | re.ASCII)

SHA256_BYTES = 32


def is_form(content_type: str | None) -> bool:
    """Whether the body is multipart/form-data."""
    return (content_type or "").split(";")[0].strip().lower() == "multipart/form-data"


def declared_length(content_length: str | None) -> int | None:
    """The declared length of the body, if there is a usable one; chunked bodies have none."""
    return int(content_length) if content_length is not None and content_length.isdecimal() else None


def disposition_filename(content_disposition: str | None) -> str | None:
    """The file name of a Content-Disposition header, the extended form (RFC 8187) before the plain one."""
    if content_disposition is None:
        return None
    if (extended := extended_filename(content_disposition)) is not None:
        return extended
    _, options = parse_options_header(content_disposition)
    name = options.get(b"filename")
    return name.decode("utf-8", "replace") if name is not None else None


def extended_filename(content_disposition: str) -> str | None:
    """The `filename*` of a Content-Disposition header, decoded (RFC 8187); UTF-8 is the one it must be in."""
    found = _EXTENDED_NAME.search(_QUOTED.sub('""', content_disposition))
    return unquote(found.group(1), errors="replace") if found is not None else None


def repeats_a_parameter(header: str) -> bool:
    """Whether a parameter stands twice, so that two readers of the header could see two different values."""
    names = [name.lower() for name in _PARAMETER.findall(_QUOTED.sub('""', header))]
    return len(names) > len(set(names))


def announced_sha256(*headers: str | None) -> str | None:
    """The SHA-256 (hex) that Repr-Digest or Content-Digest announces; None if neither names one.

    Raises MediaServiceError: invalid for a digest that is none, unprocessable for two that differ.
    """
    # One that is named and cannot be read is refused: its sender counts on the check.
    named = [header for header in headers if header is not None and _NAMES_SHA256.search(header)]
    digests = {
        _decoded(found.group(1) if (found := _SHA256_MEMBER.search(header)) else "") for header in named
    }
    if len(digests) > 1:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE, "digest-mismatch", "The digest headers name different SHA-256 digests."
        )
    return digests.pop() if digests else None


def _decoded(text: str) -> str:
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != SHA256_BYTES:
        raise MediaServiceError(
            ErrorKind.INVALID, "bad-digest-header", "The digest header holds no SHA-256 (RFC 9530)."
        )
    return digest.hex()
