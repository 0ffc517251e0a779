"""What a rendition shall be: the vocabulary that the API and the workers agree on. Core room."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PIPELINE_VERSION = 1
"""Part of every recipe digest; raised when the pipeline's output changes for the same spec."""

RenditionFormat = Literal["webp", "jpeg", "png", "avif"]
PresetFit = Literal["inside", "cover"]

RENDITION_CONTENT_TYPES: dict[RenditionFormat, str] = {
    "webp": "image/webp",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "avif": "image/avif",
}

MAX_RENDITION_SIDE_PX = 8192
"""Larger outputs cost memory out of proportion; WebP itself ends at 16383."""


PresetKind = Literal["image"]
"""Of files; others will follow with their processors."""


class Preset(BaseModel):
    """A named rendition that images get: `inside` fits a box, never enlarged; `cover` fills it exactly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    width_px: Annotated[int, Field(ge=1, le=MAX_RENDITION_SIDE_PX)]
    height_px: Annotated[int, Field(ge=1, le=MAX_RENDITION_SIDE_PX)]
    fit: PresetFit = "inside"
    format: RenditionFormat = "webp"
    kinds: tuple[PresetKind, ...] = ("image",)
    """Which files get it; without any, nobody does before it is asked for on the fly."""
    quality: Annotated[int, Field(ge=1, le=100)] = 80

    @property
    def content_type(self) -> str:
        return RENDITION_CONTENT_TYPES[self.format]

    @property
    def recipe(self) -> str:
        """Digest of all that decides the pixels: 16 hex digits. Name and kinds do not take part."""
        # What came later counts only where it is used: nothing that was made before is made again for it.
        later = {"fit": self.fit} if self.fit != "inside" else {}
        decisive = {"width_px", "height_px", "format", "quality"}
        canonical = json.dumps(
            {"pipeline": PIPELINE_VERSION, **self.model_dump(include=decisive), **later}, sort_keys=True
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


DEFAULT_PRESETS = (
    Preset(name="thumb", width_px=256, height_px=256),
    Preset(name="small", width_px=800, height_px=800),
    Preset(name="large", width_px=1600, height_px=1600),
)

PROCESSABLE_TYPES = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/apng",
        "image/webp",
        "image/gif",
        "image/tiff",
        "image/bmp",
        "image/x-icon",
        "image/avif",
        "image/heic",
        "image/heif",
    }
)
"""Sniffed types that have a processor; a file of any other type is `ready` as it is stored."""
