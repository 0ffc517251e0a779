"""TIFF: what its tags say that libvips passes over. Runs in the child. TIFF 6.0 and its Technical Note 2.

libvips streams nearly all files. A few kinds it refuses, or shows in wrong colours or as nothing at all;
those Pillow decodes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

_BITS, _COMPRESSION, _PHOTOMETRIC, _EXTRA_SAMPLES, _SUBSAMPLING = 258, 259, 262, 338, 530
_OLD_JPEG, _JPEG = 6, 7
_YCBCR, _CIELAB = 6, 8
_UNSPECIFIED = 0

_COLOR_BANDS = {"b-w": 1, "grey16": 1, "cmyk": 4, "multiband": 1}
"""Of libvips' interpretations; all others have three."""


def is_left_to_pillow(source: Path) -> bool:
    """Whether libvips has no decoder for it: CIELAB of 8 bits, JPEG of TIFF 6.0, YCbCr not in a JPEG."""
    tags = _read_tags(source)
    photometric, compression = tags.get(_PHOTOMETRIC), tags.get(_COMPRESSION)
    if photometric == _YCBCR and compression != _JPEG and tags.get(_SUBSAMPLING) == (1, 1):
        return True  # what is subsampled libtiff converts for libvips
    return compression == _OLD_JPEG or (photometric == _CIELAB and tags.get(_BITS) == (8, 8, 8))


def without_spare_bands(image: pyvips.Image, source: Path) -> pyvips.Image:
    """Colour and at most one more band, if that may be alpha: not selections, spot colours or infrared."""
    colors = _COLOR_BANDS.get(image.interpretation, 3)
    spare = image.bands - colors
    if spare <= 0:
        return image
    keeps_alpha = _first_is_alpha(_read_tags(source).get(_EXTRA_SAMPLES), spare)
    # libvips scales the alpha of CIELAB wrongly, to fully transparent.
    bands = colors + 1 if keeps_alpha and image.interpretation != "labs" else colors
    return image.extract_band(0, n=bands)


def _first_is_alpha(extra_samples: object, spare: int) -> bool:
    """Some programs forget the tag; a single spare band then is alpha, as elsewhere."""
    return spare == 1 if extra_samples is None else _first(extra_samples) != _UNSPECIFIED


def _read_tags(source: Path) -> Mapping[int, Any]:
    """Of the first page; empty if they cannot be parsed."""
    tags = Image.Exif()
    try:
        with source.open("rb") as file:
            tags.load_from_fp(file)
        return {
            tag: tags.get(tag) for tag in (_BITS, _COMPRESSION, _PHOTOMETRIC, _EXTRA_SAMPLES, _SUBSAMPLING)
        }
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on hostile IFDs
        return {}


def _first(value: object) -> object:
    return value[0] if isinstance(value, tuple) and value else value
