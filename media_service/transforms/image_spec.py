"""What one image on the fly shall be: its options as values, one canonical text, one digest. Core room."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal
from uuid import UUID

from media_service.transforms.spec import PIPELINE_VERSION

ImageFormat = Literal["jpeg", "webp", "avif", "png", "gif"]
Fit = Literal["inside", "cover", "contain", "fill"]

CONTENT_TYPES: dict[str, str] = {
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "png": "image/png",
    "gif": "image/gif",
}

DEFAULT_QUALITY: dict[str, int] = {"jpeg": 80, "webp": 80, "avif": 60}
"""What looks alike to the eye; formats without an entry lose nothing and take no quality."""

ANIMATED_FORMATS = frozenset({"webp", "gif"})

QUALITY_STEP = 5
"""`q` is rounded to a multiple of it: finer steps cannot be seen, and each would be one more result."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """Another image of the same owner, laid over the result."""

    file_id: UUID
    gravity: str = "southeast"
    scale: float = 0.2
    """Its width as a part of the result's."""
    opacity: float = 1.0


@dataclass(frozen=True)
class ImageSpec:
    """Checked options (`grammar.py` makes them). `width` and `height` are px of the result, `dpr` included.

    The picture is brought upright, rotated, flipped; then the box, the fit and the gravity count.
    """

    width: int | None = None
    height: int | None = None
    fit: Fit = "inside"
    """`inside` fits the box and never enlarges; the others give exactly the box."""
    gravity: str = "center"
    """A direction, `smart`, or a focal point as `x:y`, both from 0 to 1."""
    quality: int | None = None
    format: str = "auto"
    blur: float = 0.0
    """Sigma in px of the result, as of `sharpen`; 0 for none."""
    sharpen: float = 0.0
    rotate: int = 0
    """Degrees clockwise."""
    flip: str = ""
    """`h` mirrors left and right, `v` top and bottom, `hv` both."""
    background: str | None = None
    """`rrggbb`."""
    page: int = 1
    """Of a document or an animation, from 1."""
    frames: int = 1
    """How many frames of an animation are kept at most."""
    watermark: Watermark | None = None
    preset: str | None = None
    """The preset that these options came from; no part of the digest."""

    @property
    def canonical(self) -> str:
        """The one spelling of these options: in one order, without those that say what holds anyway."""
        return self.options if self.preset is None else f"p_{self.preset}"

    # Without slots, so that these two are computed once: a spec lives in the caches of `service.py`.
    @cached_property
    def options(self) -> str:
        """The canonical text of what decides the pixels, whichever preset it came from."""
        return ",".join(f"{name}_{value}" for name, value in self._parts()) or "f_auto"

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides the pixels: 16 hex digits, a segment of the result's key."""
        return hashlib.sha256(f"{PIPELINE_VERSION};{self.options}".encode()).hexdigest()[:16]

    @property
    def content_type(self) -> str:
        """KeyError while the format is still `auto`."""
        return CONTENT_TYPES[self.format]

    def in_format(self, name: ImageFormat) -> "ImageSpec":
        """The same in one format, with its quality spelled out where it has one: what is stored."""
        default = DEFAULT_QUALITY.get(name)
        quality = None if default is None else self.quality or default
        return replace(self, format=name, quality=quality)

    def _parts(self) -> Iterator[tuple[str, str]]:
        default = ImageSpec()
        if self.width is not None:
            yield "w", str(self.width)
        if self.height is not None:
            yield "h", str(self.height)
        for name, value, usual in (
            ("fit", self.fit, default.fit),
            ("gravity", self.gravity, default.gravity),
            ("rotate", str(self.rotate), "0"),
            ("flip", self.flip, default.flip),
            ("blur", number_text(self.blur), "0"),
            ("sharpen", number_text(self.sharpen), "0"),
            ("bg", self.background, None),
            ("page", str(self.page), "1"),
            ("frames", str(self.frames), "1"),
        ):
            if value is not None and value != usual:
                yield name, value
        if self.watermark is not None:
            yield from _watermark_parts(self.watermark)
        if self.quality is not None:
            yield "q", str(self.quality)
        if self.format != default.format:
            yield "f", self.format


def _watermark_parts(mark: Watermark) -> Iterator[tuple[str, str]]:
    default = Watermark(mark.file_id)
    yield "wm", str(mark.file_id)
    if mark.gravity != default.gravity:
        yield "wmgravity", mark.gravity
    if mark.scale != default.scale:
        yield "wmscale", number_text(mark.scale)
    if mark.opacity != default.opacity:
        yield "wmopacity", number_text(mark.opacity)


def number_text(value: float) -> str:
    """A number with at most two decimals, in its shortest spelling."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
