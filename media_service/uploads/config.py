"""Settings of uploads. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from media_service.durations import Duration

MEBIBYTE = 1024**2
GIBIBYTE = 1024**3
MAX_OBJECT_BYTES = 5 * 1024 * GIBIBYTE
"""What S3-compatible stores agree on as the largest object (5 TiB)."""


class UploadSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    max_file_size: Annotated[int, Field(ge=1, le=MAX_OBJECT_BYTES)] = 5 * GIBIBYTE
    """Bytes of one file. Larger parts follow from larger limits, and so more memory per upload."""
    allowed_types: Annotated[tuple[str, ...], NoDecode, Field(min_length=1)] = ("*/*",)
    """Sniffed types that are taken, comma-separated: `image/jpeg`, `image/*` or `*/*`."""
    upload_memory: Annotated[int, Field(ge=0)] = 256 * MEBIBYTE
    """Bytes of unfinished parts that one API process holds in memory. Beyond it parts grow in temporary files
    in the data directory, which costs a write and a read of the disk; 0 sends all of them there. On S3 one
    fast upload holds up to three parts of MEDIA_S3_PART_SIZE_BYTES."""
    upload_lease: Duration = timedelta(seconds=60)
    """How long the claim of an upload outlives its process; shorter than three heartbeats would let a
    busy process lose a live upload."""

    @field_validator("allowed_types", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            tuple(item.strip().lower() for item in value.split(",") if item.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("allowed_types")
    @classmethod
    def _has_slash(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if pattern.count("/") != 1 or not all(pattern.split("/")):
                raise ValueError(f"{pattern!r} is not a content type such as image/png or image/*")
        return value
