"""What clients see of a file. API room."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.files.names import clean_name
from media_service.web.absent_fields import check_never_null, describe_never_null

MAX_TAGS = 50
MAX_CUSTOM_BYTES = 16 * 1024
"""Of the JSON text; a record is read at every list, so it must stay small."""
MAX_CUSTOM_DEPTH = 64
"""Levels of objects and lists; at about 250 an answer can no longer be written (pydantic)."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""An escape in JSON text, not the same six characters after an escaped backslash."""


def _unique(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _storable(custom: dict[str, Any]) -> dict[str, Any]:
    """Refuse what a database, or JSON itself, cannot hold; each of these would come out as a 500 later."""
    try:
        text = json.dumps(custom, allow_nan=False, ensure_ascii=False)
        size_bytes = len(text.encode())
        depth = _depth(custom)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair, which is no character") from None
    except ValueError:
        raise ValueError("has a number that is not JSON") from None
    if size_bytes > MAX_CUSTOM_BYTES:
        raise ValueError(f"has more than {MAX_CUSTOM_BYTES} bytes of JSON")
    if _NUL.search(text):
        raise ValueError("has a NUL character, which PostgreSQL cannot store")
    if depth > MAX_CUSTOM_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_CUSTOM_DEPTH} levels")
    return custom


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


TAG_PATTERN = r"^[^\x00-\x1f\x7f]*$"
"""No control characters; PostgreSQL could not even be asked for a NUL."""

Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=TAG_PATTERN)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_unique)]
Custom = Annotated[dict[str, Any], AfterValidator(_storable)]
Filename = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(clean_name)]


class FileFields(BaseModel):
    """What an uploader may say about a file beside its bytes."""

    model_config = ConfigDict(extra="forbid")

    visibility: Visibility = Visibility.PRIVATE
    tags: Tags = []
    custom: Custom = {}


class FileReplacement(BaseModel):
    """All that can be changed of a file (PUT)."""

    model_config = ConfigDict(extra="forbid")

    filename: Filename
    visibility: Visibility
    tags: Tags
    custom: Custom


CHANGEABLE = ("filename", "visibility", "tags", "custom")


class FileChange(BaseModel):
    """Any of what can be changed of a file (PATCH)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=describe_never_null(*CHANGEABLE))

    filename: Filename | None = None
    visibility: Visibility | None = None
    tags: Tags | None = None
    custom: Custom | None = None

    @model_validator(mode="after")
    def _no_nulls(self) -> Self:
        check_never_null(self, CHANGEABLE)
        return self


class StatusReason(BaseModel):
    """Why a file is in its state, in words that a person can act on."""

    code: str
    detail: str


class RenditionOut(BaseModel):
    name: str
    content_type: str
    width: int
    height: int
    size: int
    url: str


class FileUrls(BaseModel):
    self: str
    content: str
    download: str


class FileOut(BaseModel):
    """A file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "019abc12-3456-7def-8123-456789abcdef",
                    "filename": "cat.jpg",
                    "content_type": "image/jpeg",
                    "size": 1689223,
                    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "kind": "image",
                    "status": "ready",
                    "status_reason": None,
                    "visibility": "private",
                    "tags": ["holiday"],
                    "custom": {},
                    "created_at": "2026-11-22T12:00:00Z",
                    "updated_at": "2026-11-22T12:00:01Z",
                    "etag": '"2"',
                    "metadata": {"width": 4000, "height": 3000, "exif": {"make": "Canon"}, "duration": None},
                    "placeholder": {"thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI", "color": "#7a6b5c"},
                    "renditions": [
                        {
                            "name": "thumb",
                            "content_type": "image/webp",
                            "width": 256,
                            "height": 192,
                            "size": 8123,
                            "url": "http://localhost:8000/v1/files/019abc12-3456-7def-8123-456789abcdef/renditions/thumb/content",
                        }
                    ],
                    "urls": {
                        "self": "http://localhost:8000/v1/files/019abc12-3456-7def-8123-456789abcdef",
                        "content": "http://localhost:8000/v1/files/019abc12-3456-7def-8123-456789abcdef/content",
                        "download": "http://localhost:8000/v1/files/019abc12-3456-7def-8123-456789abcdef/download",
                    },
                }
            ]
        }
    )

    id: UUID
    filename: str
    content_type: str
    size: int
    sha256: str | None
    kind: FileKind
    status: FileStatus
    status_reason: StatusReason | None
    visibility: Visibility
    tags: list[str]
    custom: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    etag: str
    metadata: dict[str, Any]
    placeholder: dict[str, Any] | None
    renditions: list[RenditionOut]
    urls: FileUrls


class FileItems(BaseModel):
    """The files that one request made."""

    items: list[FileOut]


class FilePage(BaseModel):
    """One page of a list of files."""

    items: list[FileOut]
    next_cursor: str | None


class RenditionItems(BaseModel):
    items: list[RenditionOut]


class ProcessRequest(BaseModel):
    """Presets to make again; all of them if left out."""

    model_config = ConfigDict(extra="forbid")

    renditions: Annotated[list[str], Field(min_length=1, max_length=50)] | None = None
