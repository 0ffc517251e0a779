"""From a file to libvips pixels, by the one decoder of the sniffed format. Runs in the child.

What libvips decodes comes lazily: its decoders run while the first resize pulls rows, so errors appear there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pi_heif
import pyvips
from numpy.typing import NDArray
from PIL import Image

from workers.processing import jpeg, tiff

_LAZY = {"access": "sequential", "fail_on": "error"}
"""Damage is an error, never a half picture. Not "warning": libpng warns of many harmless profiles."""

_LAZY_JPEG = {"access": "sequential", "fail_on": "warning"}
"""To libjpeg even the end in the middle of a scan is a mere warning, and the rest of the picture gray. What
phones append after the picture, or leave before its end marker, is none."""


class Decoded(NamedTuple):
    """Pixels that may not have been computed yet, and whatever must stay alive until they are."""

    image: pyvips.Image
    owner: object = None
    """pi-heif's buffer is freed with its file object, whoever else still looks at it."""


def decode(source: Path, format_name: str, *, shrink: int) -> Decoded:
    """The first frame, turned as stored. `shrink` (1, 2, 4, 8) takes effect for JPEG only.

    Raises what the decoder raises: pyvips.Error, or anything where Pillow or pi-heif decodes.
    """
    return _DECODERS[format_name](source, shrink)


def _decode_jpeg(source: Path, shrink: int) -> Decoded:
    clean = jpeg.without_junk(source)
    if clean is None:
        return Decoded(pyvips.Image.jpegload(str(source), shrink=shrink, **_LAZY_JPEG))
    return Decoded(pyvips.Image.jpegload_buffer(clean, shrink=shrink, **_LAZY_JPEG), owner=clean)


def _decode_png(source: Path, _shrink: int) -> Decoded:
    return Decoded(pyvips.Image.pngload(str(source), **_LAZY))


def _decode_webp(source: Path, _shrink: int) -> Decoded:
    return Decoded(pyvips.Image.webpload(str(source), n=1, **_LAZY))


def _decode_gif(source: Path, _shrink: int) -> Decoded:
    """Transparent where the first frame does not reach, as in browsers; libvips may make that black."""
    image = pyvips.Image.gifload(str(source), n=1, **_LAZY)
    left, top, right, bottom = _first_frame_of_gif(source)
    width, height = min(right, image.width) - left, min(bottom, image.height) - top
    if image.hasalpha() or (width, height) == (image.width, image.height) or min(width, height) < 1:
        return Decoded(image)
    frame = image.crop(left, top, width, height).addalpha()
    return Decoded(frame.embed(left, top, image.width, image.height))


def _first_frame_of_gif(source: Path) -> tuple[int, int, int, int]:
    with Image.open(source, formats=["GIF"]) as header:
        return header.tile[0].extents or (0, 0, *header.size)


def _decode_heif(source: Path, _shrink: int) -> Decoded:
    """Decode now: the libvips wheel has no HEVC.

    libheif applies irot and imir itself, so its pixels are never turned again.
    """
    heif = pi_heif.open_heif(source)
    pixels = np.asarray(heif)[:, : heif.size[0]]
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)  # gray of 10 and 12 bits, which pi-heif leaves as it is
    return Decoded(to_vips(pixels, heif.info.get("icc_profile")), owner=heif)


def _decode_tiff(source: Path, _shrink: int) -> Decoded:
    if tiff.is_left_to_pillow(source):
        return _decode_by_pillow(source, "TIFF")
    # "unlimited": libvips' own bound of 50 MB a strip refuses honest scans of one strip; RLIMIT_AS is ours.
    image = pyvips.Image.tiffload(str(source), page=0, n=1, unlimited=True, **_LAZY)
    return Decoded(tiff.without_spare_bands(image, source))


def _decode_by_pillow(source: Path, format_name: str) -> Decoded:
    """Decode now: the libvips wheel has no BMP, no icons, not all TIFF, and its AVIF knows no sequences."""
    with Image.open(source, formats=[format_name]) as image:
        image.load()
        if image.mode == "LAB":
            return Decoded(_to_lab(np.asarray(image)))
        return Decoded(to_vips(np.asarray(_in_plain_mode(image)), image.info.get("icc_profile")))


def _in_plain_mode(image: Image.Image) -> Image.Image:
    if image.mode in {"L", "LA", "RGB", "RGBA"}:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def to_vips(pixels: NDArray[np.uint8], profile: object) -> pyvips.Image:
    """Rows of bytes as an image that keeps them alive and shares them; one or two bands are gray."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, "uchar")
    image = image.copy(interpretation="b-w" if bands <= 2 else "srgb")
    _attach_profile(image, profile)
    return image


def _to_lab(pixels: NDArray[np.uint8]) -> pyvips.Image:
    """From CIELAB as Pillow and TIFF 6.0 §23 store it: L* of 0 to 255, a* and b* of -128 to 127."""
    around_128 = pixels ^ np.array([0, 128, 128], np.uint8)
    scaled = to_vips(around_128, None).linear([100 / 255, 1, 1], [0, -128, -128])
    return scaled.copy(interpretation="lab")


def _attach_profile(image: pyvips.Image, profile: object) -> None:
    if isinstance(profile, bytes) and profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)


_DECODERS: dict[str, Callable[[Path, int], Decoded]] = {
    "jpeg": _decode_jpeg,
    "png": _decode_png,
    "webp": _decode_webp,
    "gif": _decode_gif,
    "tiff": _decode_tiff,
    "bmp": lambda source, _: _decode_by_pillow(source, "BMP"),
    "ico": lambda source, _: _decode_by_pillow(source, "ICO"),
    "avif": lambda source, _: _decode_by_pillow(source, "AVIF"),
    "heic": _decode_heif,
    "heif": _decode_heif,
}
