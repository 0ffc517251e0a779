"""The options of an image's URL: text in, a checked `ImageSpec` out. Core room.

`w_400,h_300,fit_cover,q_80,f_webp`: pairs of a name and a value, in any order, each name once. Strict, since
every spelling that is let in is one more URL for the same bytes: digits are ASCII, numbers have no sign,
exponent, leading zero or more than two decimals.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.transforms.image_spec import (
    ANIMATED_FORMATS,
    QUALITY_STEP,
    ImageSpec,
    Watermark,
)
from media_service.transforms.spec import Preset

MAX_CHARACTERS = 240
"""Of all options together; every option at its longest has less, and a column holds the canonical form."""

DIRECTIONS = (
    "center", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest",
)  # fmt: skip
FITS = ("inside", "cover", "contain", "fill")
FORMATS = ("auto", "jpeg", "webp", "avif", "png", "gif")

_WHOLE = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,2})?", re.ASCII)
_COLOR = re.compile(r"[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageBounds:
    """How large a result may be: settings."""

    max_side_px: int = 4096
    max_pixels: int = 16_000_000
    max_frames: int = 100


class OptionError(MediaServiceError):
    """Options that are not taken; the problem says where, and what would be."""

    def __init__(self, detail: str, *, position: int, option: str, allowed: str) -> None:
        super().__init__(
            ErrorKind.INVALID,
            "bad-image-option",
            detail,
            position=position,
            # Names are told back, values are not: they are a stranger's.
            option=option,
            allowed=allowed,
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """One pair, and where it begins among the options (characters, from 0)."""

    name: str
    value: str
    position: int

    def error(self, allowed: str) -> OptionError:
        return OptionError(
            f"The option '{self.name}' at position {self.position} takes {allowed}.",
            position=self.position,
            option=self.name,
            allowed=allowed,
        )


_Reader = Callable[[_Piece, ImageBounds], Any]


def parse_options(text: str, *, bounds: ImageBounds, presets: Sequence[Preset]) -> ImageSpec:
    """The spec that options spell. Raises OptionError for any that are not exactly right."""
    pieces = _pieces(text)
    if "p" in pieces:
        return _preset(pieces, presets)
    values = {name: _READERS[name](piece, bounds) for name, piece in pieces.items()}
    _check_together(values, pieces)
    return _sized(_to_spec(values), values.get("dpr", 1.0), pieces, bounds)


def _pieces(text: str) -> dict[str, _Piece]:
    if len(text) > MAX_CHARACTERS:
        allowed = f"at most {MAX_CHARACTERS} characters"
        raise OptionError(f"Options have {allowed}.", position=MAX_CHARACTERS, option="", allowed=allowed)
    pieces: dict[str, _Piece] = {}
    position = 0
    for part in text.split(","):
        name, _, value = part.partition("_")
        piece = _Piece(name, value, position)
        _check_name(piece, known=name in _READERS or name == "p", twice=name in pieces)
        pieces[name] = piece
        position += len(part) + 1
    return pieces


def _check_name(piece: _Piece, *, known: bool, twice: bool) -> None:
    where, option = f"at position {piece.position}", piece.name if known or piece.name == "t" else ""
    if piece.name == "t":
        raise OptionError(
            f"The option 't' {where} is the time in a video; images have none.",
            position=piece.position,
            option=option,
            allowed="nothing yet",
        )
    if not known:
        allowed = ", ".join([*_READERS, "p"])
        raise OptionError(
            f"There is no such option {where}; there are {allowed}.",
            position=piece.position,
            option=option,
            allowed=allowed,
        )
    if twice:
        raise OptionError(
            f"The option '{piece.name}' stands {where} for the second time.",
            position=piece.position,
            option=option,
            allowed="each option once",
        )


def _preset(pieces: Mapping[str, _Piece], presets: Sequence[Preset]) -> ImageSpec:
    piece = pieces["p"]
    if len(pieces) > 1:
        other = next(found for name, found in pieces.items() if name != "p")
        raise OptionError(
            f"A preset stands alone; the option '{other.name}' at position {other.position} is one too many.",
            position=other.position,
            option=other.name,
            allowed="a preset alone",
        )
    for preset in presets:
        if preset.name == piece.value:
            return spec_of_preset(preset)
    raise piece.error("the name of a preset: " + ", ".join(preset.name for preset in presets))


def spec_of_preset(preset: Preset) -> ImageSpec:
    """What a preset asks for, in the words of options."""
    return ImageSpec(
        width=preset.width_px,
        height=preset.height_px,
        fit=preset.fit,
        quality=preset.quality,
        format=preset.format,
        preset=preset.name,
    )


# --- one value ------------------------------------------------------------------------------------------


def _whole(low: int, high: int | Callable[[ImageBounds], int]) -> _Reader:
    def read(piece: _Piece, bounds: ImageBounds) -> int:
        most = high if isinstance(high, int) else high(bounds)
        if not _WHOLE.fullmatch(piece.value) or not low <= int(piece.value) <= most:
            raise piece.error(f"a whole number from {low} to {most}")
        return int(piece.value)

    return read


def _decimal(low: float, high: float) -> _Reader:
    def read(piece: _Piece, _: ImageBounds) -> float:
        if not _DECIMAL.fullmatch(piece.value) or not low <= float(piece.value) <= high:
            raise piece.error(f"a number from {low:g} to {high:g} with at most two decimals")
        return float(piece.value)

    return read


def _word(words: Sequence[str]) -> _Reader:
    def read(piece: _Piece, _: ImageBounds) -> str:
        if piece.value not in words:
            raise piece.error("one of " + ", ".join(words))
        return piece.value

    return read


def _gravity(piece: _Piece, _: ImageBounds) -> str:
    if piece.value in {*DIRECTIONS, "smart"}:
        return piece.value
    point = piece.value.split(":")
    if len(point) == 2 and all(_DECIMAL.fullmatch(part) and float(part) <= 1 for part in point):
        return ":".join(f"{float(part):.2f}".rstrip("0").rstrip(".") for part in point)
    raise piece.error(
        f"one of {', '.join(DIRECTIONS)}, smart, or a focal point as 0.25:0.4 (both from 0 to 1)"
    )


def _quality(piece: _Piece, bounds: ImageBounds) -> int:
    value = int(_whole(1, 100)(piece, bounds))
    return max(QUALITY_STEP, (value + QUALITY_STEP // 2) // QUALITY_STEP * QUALITY_STEP)


def _color(piece: _Piece, _: ImageBounds) -> str:
    if not _COLOR.fullmatch(piece.value):
        raise piece.error("a colour of 3 or 6 hexadecimal digits, such as ff8800")
    digits = piece.value.lower()
    return digits if len(digits) == 6 else "".join(2 * digit for digit in digits)


def _file(piece: _Piece, _: ImageBounds) -> UUID:
    if not _UUID.fullmatch(piece.value):
        raise piece.error("the id of a file, in lower case with hyphens")
    return UUID(piece.value)


def _degrees(piece: _Piece, bounds: ImageBounds) -> int:
    return int(_word(("0", "90", "180", "270"))(piece, bounds))


_READERS: dict[str, _Reader] = {
    "w": _whole(1, lambda bounds: bounds.max_side_px),
    "h": _whole(1, lambda bounds: bounds.max_side_px),
    "fit": _word(FITS),
    "gravity": _gravity,
    "q": _quality,
    "f": _word(FORMATS),
    "dpr": _decimal(1, 4),
    "blur": _decimal(0.3, 100),
    "sharpen": _decimal(0.3, 10),
    "rotate": _degrees,
    "flip": _word(("h", "v", "hv")),
    "bg": _color,
    "strip": _word(("all",)),
    "page": _whole(1, 65_535),
    "frames": _whole(1, lambda bounds: bounds.max_frames),
    "wm": _file,
    "wmgravity": _word(DIRECTIONS),
    "wmscale": _decimal(0.05, 1),
    "wmopacity": _decimal(0.05, 1),
}

# --- values together ------------------------------------------------------------------------------------


def _check_together(values: Mapping[str, Any], pieces: Mapping[str, _Piece]) -> None:
    if values.get("fit", "inside") != "inside" and not {"w", "h"} <= set(values):
        raise pieces["fit"].error("both w and h beside it, unless it is inside")
    if "gravity" in values and values.get("fit") != "cover":
        raise pieces["gravity"].error("fit_cover beside it: nothing else cuts anything off")
    if "dpr" in values and not {"w", "h"} & set(values):
        raise pieces["dpr"].error("w or h beside it")
    for name in ("wmgravity", "wmscale", "wmopacity"):
        if name in values and "wm" not in values:
            raise pieces[name].error("wm beside it")
    _check_frames(values, pieces)


def _check_frames(values: Mapping[str, Any], pieces: Mapping[str, _Piece]) -> None:
    animated = values.get("frames", 1) > 1
    if animated and "page" in values:
        raise pieces["page"].error("no frames beside it")
    if animated and values.get("f", "auto") not in {"auto", *ANIMATED_FORMATS}:
        raise pieces["f"].error("auto, webp or gif where there are frames")
    if not animated and values.get("f") == "gif":
        raise pieces["f"].error("gif only for animations: frames beside it")


def _to_spec(values: Mapping[str, Any]) -> ImageSpec:
    names = {
        "w": "width", "h": "height", "fit": "fit", "gravity": "gravity", "q": "quality", "f": "format",
        "blur": "blur", "sharpen": "sharpen", "rotate": "rotate", "flip": "flip", "bg": "background",
        "page": "page", "frames": "frames",
    }  # fmt: skip
    given = {names[name]: value for name, value in values.items() if name in names}
    if "wm" in values:
        optional = {"wmgravity": "gravity", "wmscale": "scale", "wmopacity": "opacity"}
        chosen = {optional[name]: value for name, value in values.items() if name in optional}
        given["watermark"] = Watermark(values["wm"], **chosen)
    return ImageSpec(**given)


def _sized(spec: ImageSpec, dpr: float, pieces: Mapping[str, _Piece], bounds: ImageBounds) -> ImageSpec:
    """The size in px of the result. Two ways to ask for one size are one spec."""

    def scaled(name: str, length: int | None) -> int | None:
        if length is None:
            return None
        length_px = max(1, round(length * dpr))
        if length_px > bounds.max_side_px:
            raise pieces[name].error(f"at most {bounds.max_side_px} px, dpr included")
        return length_px

    width, height = scaled("w", spec.width), scaled("h", spec.height)
    if width is not None and height is not None and width * height > bounds.max_pixels:
        raise pieces["h"].error(f"at most {bounds.max_pixels} px in all (w times h), dpr included")
    return replace(spec, width=width, height=height)
