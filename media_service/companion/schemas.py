"""Companion's contract for S3, in its own spelling. API room. Sources: @uppy/companion and @uppy/aws-s3 6."""

import json
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from media_service.direct.plans import MAX_PARTS
from media_service.direct.service import Announcement
from media_service.uploads.fields import FieldCollector
from media_service.uploads.form import Field as FormField

BUCKET = "media"
"""Not that of the storage, which is nobody's business; Uppy only hands it on."""

UPPY_PART_BYTES = 5 * 1024 * 1024
"""@uppy/aws-s3 6: of files up to 48 GiB. Companion's contract has no word for the size of file or parts."""

MAX_FILENAME = 1024


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class FormParams(BaseModel):
    """Where to send a form, and its fields; the file comes last."""

    method: str = "POST"
    url: str
    fields: dict[str, str]
    expires: int
    """Seconds."""


class NewMultipart(BaseModel):
    filename: Annotated[str, Field(max_length=MAX_FILENAME)] = ""
    type: Annotated[str | None, Field(max_length=255)] = None
    metadata: dict[str, Any] = {}


class Multipart(_Camel):
    key: str
    upload_id: str
    bucket: str = BUCKET


class ListedPart(BaseModel):
    PartNumber: int
    Size: int
    ETag: str


class SignedPart(BaseModel):
    url: str
    expires: int


class SignedParts(_Camel):
    presigned_urls: dict[str, str]


class CompletedPart(BaseModel):
    PartNumber: Annotated[int, Field(ge=1, le=MAX_PARTS, strict=True)]
    ETag: Annotated[str, Field(min_length=1, max_length=128)]


class MultipartCompletion(BaseModel):
    parts: Annotated[list[CompletedPart], Field(max_length=MAX_PARTS)]

    def etags(self) -> dict[int, str]:
        return {part.PartNumber: part.ETag for part in self.parts}


class CompletedUpload(BaseModel):
    location: str
    key: str
    bucket: str = BUCKET


def announcement(filename: str, metadata: dict[str, Any], *, part_size_bytes: int) -> Announcement:
    """What Uppy says of a file. Its `filename` is a key of its own making; the name is in the metadata.

    Of other metadata `visibility`, `tags` (with commas between, or a JSON list) and `custom` (JSON) count.
    Raises MediaServiceError (unprocessable).
    """
    collector = FieldCollector()
    for name in ("visibility", "custom"):
        if name in metadata:
            collector.add(FormField(name, _text(metadata[name])))
    for tag in _tags(metadata.get("tags")):
        collector.add(FormField("tags", tag))
    own_name = metadata.get("name")
    return Announcement(
        filename=str(own_name)[:MAX_FILENAME] if own_name else filename,
        size_bytes=None,
        sha256=None,
        fields=collector.file_fields(),
        part_size_bytes=part_size_bytes,
    )


def upload_key(upload_id: UUID) -> str:
    """Companion's clients name an upload by its key, too; here both are its id, and later the file's."""
    return str(upload_id)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _tags(value: Any) -> list[str]:
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",")]
    return [str(tag) for tag in value] if isinstance(value, list) else []
