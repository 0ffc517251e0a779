"""What processing a file yields. Core room: values only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class MadeRendition:
    """One encoded rendition, still a file of this machine."""

    name: str
    path: Path
    content_type: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    """64 lower-case hex digits over the file's bytes."""
    recipe: str


@dataclass(frozen=True, slots=True)
class ProcessedImage:
    """All that one decode gave. `metadata` and `placeholder` are JSON-safe.

    metadata: "width" and "height" in px as displayed (orientation applied), "format", "frames", "has_alpha",
    "color_space", "duration" (None for images), "exif", "xmp" and "iptc" (see the modules of those names;
    absent fields are left out).
    placeholder: "thumbhash" (base64, about 25 bytes) and "color" ("#rrggbb", the average over white).
    """

    metadata: dict[str, Any]
    placeholder: dict[str, str]
    renditions: tuple[MadeRendition, ...]
    """In the order of the presets that were asked for."""
