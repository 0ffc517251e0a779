"""Which format `f_auto` stands for: what the client says that it shows. Core room."""

import re
from collections.abc import Sequence

from media_service.transforms.image_spec import ImageFormat, ImageSpec

AutoFormat = ImageFormat

_RANGE = re.compile(r"^image/(avif|webp)$")
_NOTHING = re.compile(r"^q=0(?:\.0{0,3})?$")


def shown_formats(accept: str | None) -> frozenset[str]:
    """The newer formats that an Accept header names. `*/*` names none: everybody sends it, old ones too."""
    named = set()
    for part in (accept or "").lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        if (match := _RANGE.match(media_type)) and not any(_NOTHING.match(value) for value in parameters):
            named.add(match[1])
    return frozenset(named)


def in_shown_format(
    spec: ImageSpec, accept: str | None, *, preferred: Sequence[ImageFormat], may_have_alpha: bool
) -> ImageSpec:
    """The spec in the format that the client gets."""
    if spec.format != "auto":
        return spec.in_format(spec.format)  # type: ignore[arg-type]  # the grammar let it in
    shown = shown_formats(accept)
    is_animated = spec.frames > 1
    for name in preferred:
        if name in shown and not (is_animated and name == "avif"):
            return spec.in_format(name)
    if is_animated:
        return spec.in_format("gif")
    keeps_alpha = may_have_alpha and spec.background is None
    return spec.in_format("png" if keeps_alpha else "jpeg")
