"""What clients say of a file to be imported. API room."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from media_service.files.lifecycle import Visibility
from media_service.files.schemas import Custom, Tags
from media_service.imports.urls import MAX_URL_CHARACTERS


class ImportRequest(BaseModel):
    """A URL, and what the file that it leads to shall be called and have."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.org/photo.jpg"}]}
    )

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS)]
    filename: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    sha256: Annotated[str | None, Field(pattern=r"^[0-9A-Fa-f]{64}$")] = None
    visibility: Visibility = Visibility.PRIVATE
    tags: Tags = []
    custom: Custom = {}

    def to_payload(self) -> dict[str, Any]:
        """For the job."""
        payload = self.model_dump(mode="json")
        return {**payload, "sha256": self.sha256.lower() if self.sha256 else None}
