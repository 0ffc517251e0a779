"""Direct uploads as clients see them. API room."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from media_service.direct.plans import MAX_PARTS
from media_service.direct.service import Announcement
from media_service.files.lifecycle import Visibility
from media_service.files.schemas import Custom, FileFields, Tags

MAX_SIZE = 2**63 - 1


class NewDirectUpload(BaseModel):
    """A file that is about to be sent. The type is looked at when it has come; this one is a hint."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"filename": "film.mp4", "size": 734003200, "content_type": "video/mp4"}]
        },
    )

    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    size: Annotated[int, Field(ge=0, le=MAX_SIZE, strict=True)]
    content_type: Annotated[str, Field(max_length=255)] = "application/octet-stream"
    sha256: Annotated[str | None, Field(pattern=r"^[0-9A-Fa-f]{64}$")] = None
    visibility: Visibility = Visibility.PRIVATE
    tags: Tags = []
    custom: Custom = {}

    def to_announcement(self) -> Announcement:
        fields = FileFields(visibility=self.visibility, tags=self.tags, custom=self.custom)
        sha256 = self.sha256.lower() if self.sha256 else None
        return Announcement(self.filename, self.size, sha256, fields)


class PartUrl(BaseModel):
    number: int
    url: str


class DirectUploadOut(BaseModel):
    """Where to send the bytes: to `url` if there is one part, else the `parts`, all but the last equal."""

    id: UUID
    method: str = "PUT"
    url: str | None = None
    headers: dict[str, str]
    """To be sent along; none are needed today."""
    part_size: int | None = None
    part_count: int | None = None
    parts: list[PartUrl] | None = None
    """The first ones; ask for the others when their turn comes."""
    expires_at: datetime
    """Of the upload."""
    urls_expire_at: datetime
    """Of these URLs; new ones can be had."""


class PartUrls(BaseModel):
    parts: list[PartUrl]
    urls_expire_at: datetime


class ArrivedPartOut(BaseModel):
    number: int
    size: int
    etag: str


class DirectUploadState(BaseModel):
    """An upload on its way."""

    id: UUID
    filename: str
    size: int | None
    part_size: int
    part_count: int | None
    parts: list[ArrivedPartOut]
    """What has come."""
    expires_at: datetime


class SentPart(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=1, le=MAX_PARTS, strict=True)]
    etag: Annotated[str, Field(min_length=1, max_length=128)]


class DirectCompletionRequest(BaseModel):
    """The parts as the client knows them; without them, all that have come."""

    model_config = ConfigDict(extra="forbid")

    parts: Annotated[list[SentPart], Field(max_length=MAX_PARTS)] | None = None

    def etags(self) -> dict[int, str] | None:
        return None if self.parts is None else {part.number: part.etag for part in self.parts}
