"""What a resumable upload says of its file. Core room."""

import base64
import binascii
import json
from typing import Any

from media_service.files.names import clean_name
from media_service.uploads.fields import parse_custom, validated_fields
from media_service.uploads.resumable.errors import bad_upload_header

_NAMES = ("filename", "name")
"""`filename` is the convention of tus; Uppy and others send both."""


def parse_metadata(header: str) -> dict[str, str]:
    """The pairs of an `Upload-Metadata` header (tus 1.0, creation): keys, and values in base64 or none.

    Raises MediaServiceError (invalid).
    """
    pairs: dict[str, str] = {}
    if not header.strip():
        return pairs
    for pair in header.split(","):
        key, _, encoded = pair.strip(" ").partition(" ")
        if not key or not key.isascii() or not key.isprintable():
            raise bad_upload_header("Upload-Metadata", "has a pair without a key, or a key that is not ASCII")
        if key in pairs:
            raise bad_upload_header("Upload-Metadata", f"has the key '{key}' twice")
        try:
            pairs[key] = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise bad_upload_header(
                "Upload-Metadata", f"has a value for '{key}' that is not base64"
            ) from None
    return pairs


def announced_by(pairs: dict[str, str], *, fallback_name: str = "") -> dict[str, Any]:
    """Name, visibility, tags and custom of the file to come, checked as the fields of a form are.

    Keys that the service does not know are the client's own. Raises MediaServiceError (unprocessable).
    """
    values: dict[str, Any] = {}
    if pairs.get("visibility"):
        values["visibility"] = pairs["visibility"]
    if pairs.get("tags"):
        values["tags"] = _tags(pairs["tags"])
    if pairs.get("custom"):
        values["custom"] = parse_custom(pairs["custom"])
    fields = validated_fields(values).model_dump(mode="json")
    given = next((pairs[name] for name in _NAMES if pairs.get(name)), fallback_name)
    return {"filename": clean_name(given), **fields}


def _tags(text: str) -> Any:
    """A JSON list, or names with commas between."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [tag for name in text.split(",") if (tag := name.strip())]
