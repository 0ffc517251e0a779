"""Which stored picture an image on the fly is made of: the smallest that is good enough. Core room.

Out of a stored rendition of 1600 px a thumbnail costs a quarter of what it costs out of 12 MP.
"""

from collections.abc import Iterable

from media_service.files.models import Rendition
from media_service.transforms.image_spec import ImageSpec

OVERSIZE = 1.5
"""How much larger than the result a rendition with losses must be: what its encoder took away is then
averaged out. Lower would make results out of pictures that were compressed at the same size once before."""
LOSSLESS_TYPES = frozenset({"image/png"})
OPAQUE_TYPES = frozenset({"image/jpeg"})


def source_rendition(
    spec: ImageSpec, renditions: Iterable[Rendition], *, width_px: int, height_px: int, has_alpha: bool
) -> Rendition | None:
    """The rendition to use instead of the original, which is shown at `width_px` x `height_px`; or None."""
    if spec.page != 1 or spec.frames != 1 or (spec.width is None and spec.height is None):
        return None
    needed = _needed_scale(spec, width_px, height_px)
    fitting = [
        rendition
        for rendition in renditions
        if _is_whole(rendition, width_px, height_px)
        and not (has_alpha and rendition.content_type in OPAQUE_TYPES)
        and rendition.width_px >= needed * width_px * _oversize(rendition)
        and rendition.width_px < width_px
    ]
    return min(fitting, key=lambda rendition: rendition.width_px, default=None)


def _needed_scale(spec: ImageSpec, width_px: int, height_px: int) -> float:
    """How large the whole picture is in the result, as a part of the original."""
    if spec.rotate in {90, 270}:
        width_px, height_px = height_px, width_px
    scales = [
        wanted / length
        for wanted, length in ((spec.width, width_px), (spec.height, height_px))
        if wanted is not None
    ]
    # Both sides must be there unless the picture only has to fit.
    return min(scales) if spec.fit in {"inside", "contain"} else max(scales)


def _is_whole(rendition: Rendition, width_px: int, height_px: int) -> bool:
    """Whether it shows all of the picture: its sides differ from the aspect by rounding alone."""
    return abs(rendition.width_px * height_px / width_px - rendition.height_px) <= 1


def _oversize(rendition: Rendition) -> float:
    return 1.0 if rendition.content_type in LOSSLESS_TYPES else OVERSIZE
