"""What a form, or the query of a raw upload, says of its files. Core room."""

import json
import re
from typing import Any

from pydantic import ValidationError

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.schemas import FileFields
from media_service.uploads.form import Field
from media_service.uploads.schemas import RawUploadQuery

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FieldCollector:
    """Gathers the text fields of a form, which may stand in any place.

    Fields that the service does not know are ignored: forms carry tokens and buttons of their own.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._sha256: str | None = None

    def add(self, field: Field) -> None:
        """Raises MediaServiceError (unprocessable) for a value that cannot be used."""
        if field.value == "":
            return  # a browser sends the inputs that its user left empty
        match field.name:
            case "visibility":
                self._values["visibility"] = field.value
            case "tags":
                self._values.setdefault("tags", []).append(field.value)
            case "custom":
                self._values["custom"] = parse_custom(field.value)
            case "sha256":
                self._sha256 = parse_sha256(field.value)

    def take_sha256(self) -> str | None:
        """The digest that stood right before a file; it is good for that file only."""
        digest, self._sha256 = self._sha256, None
        return digest

    def file_fields(self) -> FileFields:
        """All fields, validated. Raises MediaServiceError (unprocessable)."""
        return validated_fields(self._values)


def query_fields(query: RawUploadQuery) -> FileFields:
    """What the query of a raw upload says. Raises MediaServiceError (unprocessable)."""
    values = query.model_dump(include={"visibility", "tags"}, exclude_none=True)
    if query.custom is not None:
        values["custom"] = parse_custom(query.custom)
    return validated_fields(values)


def validated_fields(values: dict[str, Any]) -> FileFields:
    """Raises MediaServiceError (unprocessable) that names each wrong field."""
    try:
        return FileFields.model_validate(values)
    except ValidationError as error:
        errors = [
            {"pointer": "".join(f"/{step}" for step in item["loc"]), "detail": item["msg"]}
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE,
            "invalid-request",
            "Some fields have values that cannot be used; see 'errors'.",
            errors=errors,
        ) from None


def parse_sha256(text: str) -> str:
    """A SHA-256 in hex. Raises MediaServiceError (unprocessable)."""
    digest = text.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise _invalid("sha256", "must be 64 hexadecimal digits")
    return digest


def parse_custom(text: str) -> dict[str, Any]:
    """A JSON object. Raises MediaServiceError (unprocessable)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _invalid("custom", "must be a JSON object")
    return value


def _invalid(field: str, detail: str) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNPROCESSABLE,
        "invalid-request",
        f"The field '{field}' {detail}.",
        errors=[{"pointer": f"/{field}", "detail": detail}],
    )
