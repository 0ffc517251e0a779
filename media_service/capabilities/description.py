"""Puts together what the service can, of settings and of who works. API room."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from media_service import __version__
from media_service.broker.messages import Lane
from media_service.capabilities.schemas import (
    Capabilities,
    EngineOut,
    ImageCapabilities,
    PresetOut,
    UploadCapabilities,
)
from media_service.exceptions import MediaServiceError
from media_service.transforms.grammar import FITS, FORMATS, ImageBounds
from media_service.transforms.image_spec import QUALITY_STEP
from media_service.transforms.spec import PROCESSABLE_TYPES, Preset

log = structlog.get_logger(__name__)

ENGINES = {"renditions": Lane.UPLOADS, "images-on-the-fly": Lane.RENDER, "backfill": Lane.BACKFILL}
"""Sorts of work, and the lanes that they go through."""


class CapabilityDescription:
    """Answers also while the database is away: then it is only unknown who works."""

    def __init__(
        self,
        uploads: UploadCapabilities,
        images: ImageCapabilities,
        *,
        registration: bool,
        living_lanes: Callable[[], Awaitable[frozenset[Lane]]],
    ) -> None:
        self._uploads = uploads
        self._images = images
        self._registration = registration
        self._living_lanes = living_lanes

    async def describe(self) -> Capabilities:
        return Capabilities(
            version=__version__,
            registration=self._registration,
            uploads=self._uploads,
            images=self._images,
            engines=await self._engines(),
        )

    async def _engines(self) -> list[EngineOut]:
        try:
            lanes = await self._living_lanes()
        except MediaServiceError as error:
            log.warning("capabilities.workers_unknown", code=error.code)
            return [EngineOut(name=name, available=None) for name in ENGINES]
        return [EngineOut(name=name, available=lane in lanes) for name, lane in ENGINES.items()]


def describe_images(
    presets: Sequence[Preset], bounds: ImageBounds, auto_formats: Sequence[str]
) -> ImageCapabilities:
    return ImageCapabilities(
        source_types=sorted(PROCESSABLE_TYPES),
        presets=[_preset(preset) for preset in presets],
        formats=list(FORMATS),
        fits=list(FITS),
        auto_formats=list(auto_formats),
        max_side_px=bounds.max_side_px,
        max_pixels=bounds.max_pixels,
        max_frames=bounds.max_frames,
        quality_step=QUALITY_STEP,
    )


def _preset(preset: Preset) -> PresetOut:
    return PresetOut(
        name=preset.name,
        width=preset.width_px,
        height=preset.height_px,
        fit=preset.fit,
        content_type=preset.content_type,
        quality=preset.quality,
    )
