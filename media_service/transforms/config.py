"""Which renditions every image gets, and how images on the fly are bounded. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from media_service.durations import Duration
from media_service.transforms.grammar import ImageBounds
from media_service.transforms.negotiation import AutoFormat
from media_service.transforms.spec import DEFAULT_PRESETS, MAX_RENDITION_SIDE_PX, Preset


class PresetSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    presets: tuple[Preset, ...] = DEFAULT_PRESETS
    """A JSON list of `{"name", "width_px", "height_px", "fit", "format", "quality", "kinds"}`. Changing one
    makes it another recipe: new files get the new one, `backfill` makes it for those that are there."""
    image_max_side_px: Annotated[int, Field(ge=16, le=MAX_RENDITION_SIDE_PX)] = 4096
    """Longest side that a URL may ask for, `dpr` included. A screen of today is 3840 wide; larger costs every
    render memory and time out of proportion."""
    image_max_pixels: Annotated[int, Field(ge=256, le=MAX_RENDITION_SIDE_PX**2)] = 16_000_000
    """Width times height that a URL may ask for."""
    image_max_frames: Annotated[int, Field(ge=1, le=500)] = 100
    """Frames of an animation that a URL may ask to keep. All of them are in memory at once, so together they
    also count against MEDIA_WORKER_MAX_IMAGE_PIXELS."""
    image_auto_formats: Annotated[tuple[AutoFormat, ...], NoDecode] = ("avif", "webp")
    """What `f_auto` may become where a browser says that it shows it, comma-separated, the best first; jpeg
    or png where it shows none. Measured on a photo of 400 and 1600 px: AVIF has a third and a fifth fewer
    bytes than WebP (SSIM 0.012 less and equal) and takes five times as long, once per result."""
    image_render_timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=1))] = timedelta(
        seconds=10
    )
    """How long a request waits for an image that is not stored yet, before it is answered with 503. Longer
    than the slowest usual render; browsers and proxies give up after 30 s or more."""
    image_render_queue: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Renders that may wait for a worker; beyond it requests are answered with 503 at once. About what the
    workers make in the time that a request waits."""

    @field_validator("presets")
    @classmethod
    def _names_are_unique(cls, value: tuple[Preset, ...]) -> tuple[Preset, ...]:
        if len({preset.name for preset in value}) != len(value):
            raise ValueError("two presets have the same name")
        return value

    @field_validator("image_auto_formats", mode="before")
    @classmethod
    def _split_formats(cls, value: Any) -> Any:  # a name of its own: all sections become one class
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("image_auto_formats")
    @classmethod
    def _can_be_negotiated(cls, value: tuple[AutoFormat, ...]) -> tuple[AutoFormat, ...]:
        if not set(value) <= {"avif", "webp"}:
            raise ValueError("may name avif and webp; the others are shown everywhere")
        return value

    @property
    def image_bounds(self) -> ImageBounds:
        return ImageBounds(self.image_max_side_px, self.image_max_pixels, self.image_max_frames)
