"""What a file says about itself, before a pixel is decoded. Runs in the child.

Pillow reads the header of the one sniffed format; libvips that of TIFF, and of WebP, for which Pillow
allocates two whole canvases (400 MB of address space at 50 MP). Nothing here calls `load()`; in particular
EXIF is taken from `info`, since `getexif()` of a PNG without it would decode the whole picture. Only an icon
of the old kind is decoded while its header is read, once Pillow has compared that with MAX_IMAGE_PIXELS.
"""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyvips
from PIL import IcoImagePlugin, Image

from workers.processing import failures, tiff
from workers.processing.formats import SOURCE_FORMATS, SourceFormat
from workers.processing.geometry import Size
from workers.processing.limits import ImageLimits

_COLOR_SPACES = {
    "1": "gray",
    "L": "gray",
    "LA": "gray",
    "La": "gray",
    "I;16": "gray",
    "I": "gray",
    "CMYK": "cmyk",
}
"""Of Pillow's modes; all others are stored as RGB, YCbCr or a palette of RGB and shown as RGB."""

_VIPS_COLOR_SPACES = {"b-w": "gray", "grey16": "gray", "cmyk": "cmyk"}

_IPTC_RESOURCE = 0x0404
"""Photoshop File Formats, image resource IDs: "IPTC-NAA record"."""

_MOST_PAGES = 65_535
"""As many as libtiff counts; a second or two."""


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of a header that decide anything. `size` is as stored, before orientation."""

    size: Size
    frames: int
    color_space: str
    exif: bytes
    """Raw TIFF structure, empty if there is none or the file itself is one."""
    xmp: bytes = b""
    iptc: bytes = b""
    """Datasets of IPTC-IIM, without Photoshop's wrapping."""
    is_upright: bool = False
    """Whether the decoder turns the pixels by itself, and `size` with them."""


def read_header(source: Path, source_format: SourceFormat, limits: ImageLimits) -> Header:
    """Read and judge a header: pixels, side, frames, in this order.

    Raises MediaServiceError (unprocessable) with "unreadable-media", "image-too-many-pixels",
    "image-too-large-side" or "too-many-frames"; MemoryError.
    """
    header = _open_header(source, source_format, limits)
    check_size(header.size, limits)
    if header.frames > limits.max_frames:
        raise failures.failure(failures.TOO_MANY_FRAMES, frames=header.frames, max_frames=limits.max_frames)
    return header


def check_size(size: Size, limits: ImageLimits) -> None:
    """Raises MediaServiceError with "image-too-many-pixels" or "image-too-large-side"."""
    if size.width * size.height > limits.max_pixels:
        raise _too_many_pixels(limits)
    if max(size) > limits.max_side_px:
        raise failures.failure(failures.TOO_LARGE_SIDE, max_side_px=limits.max_side_px)


def _too_many_pixels(limits: ImageLimits) -> Exception:
    return failures.failure(failures.TOO_MANY_PIXELS, max_pixels=limits.max_pixels)


def _open_header(source: Path, source_format: SourceFormat, limits: ImageLimits) -> Header:
    # Pillow warns above this number and raises above twice of it; as an error both come before any decode.
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _read(source, source_format)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_many_pixels(limits) from error
    except MemoryError:
        raise
    except Exception as error:
        # Hostile headers make Pillow raise nearly anything: OSError, SyntaxError, IndexError, TypeError...
        raise failures.failure(failures.UNREADABLE_MEDIA) from error


def _read(source: Path, source_format: SourceFormat) -> Header:
    reader = _READERS.get(source_format.name)
    return reader(source) if reader else _read_by_pillow(source, source_format)


def _read_by_pillow(source: Path, source_format: SourceFormat) -> Header:
    with Image.open(source, formats=[source_format.pillow]) as image:
        return Header(
            size=Size(*image.size),
            frames=_count_frames(source, source_format, image),
            color_space=_COLOR_SPACES.get(image.mode, "rgb"),
            exif=_bytes(image.info.get("exif")),
            xmp=_bytes(image.info.get("xmp")),
            iptc=_iptc_of_photoshop(image.info.get("photoshop")),
        )


def _iptc_of_photoshop(resources: object) -> bytes:
    return _bytes(resources.get(_IPTC_RESOURCE)) if isinstance(resources, dict) else b""


def _read_webp(source: Path) -> Header:
    image = pyvips.Image.webpload(str(source))
    return Header(
        size=Size(image.width, image.height),
        frames=_field(image, "n-pages", 1),
        color_space="rgb",
        exif=_field(image, "exif-data", b""),
        xmp=_field(image, "xmp-data", b""),
    )


def _read_tiff(source: Path) -> Header:
    if tiff.is_left_to_pillow(source):
        return replace(_read_by_pillow(source, SOURCE_FORMATS["image/tiff"]), is_upright=True)
    # Pillow would seek through every page, and knows fewer kinds of pixels.
    image = pyvips.Image.tiffload(str(source))
    return Header(
        size=Size(image.width, image.height),
        frames=_field(image, "n-pages", 1),
        color_space=_VIPS_COLOR_SPACES.get(image.interpretation, "rgb"),
        exif=b"",
        xmp=_field(image, "xmp-data", b""),
        iptc=_field(image, "iptc-data", b""),
    )


def _read_ico(source: Path) -> Header:
    """The largest picture of an icon, whose own header decides: the directory ends at 256 px."""
    with source.open("rb") as file:
        picture = IcoImagePlugin.IcoFile(file).frame(0)
        return Header(Size(*picture.size), 1, _COLOR_SPACES.get(picture.mode, "rgb"), b"")


_READERS = {"webp": _read_webp, "tiff": _read_tiff, "ico": _read_ico}


def _field(image: pyvips.Image, name: str, default: Any) -> Any:
    return image.get(name) if image.get_typeof(name) else default


def _count_frames(source: Path, source_format: SourceFormat, image: Image.Image) -> int:
    if source_format.name == "gif":
        # Pillow seeks through every frame (0.24 s for 50,000 of them), libvips scans the blocks (4 ms).
        return int(pyvips.Image.gifload(str(source)).get("n-pages"))
    if source_format.name in {"png", "avif"}:
        return int(getattr(image, "n_frames", 1))
    if source_format.name == "tiff":
        return _count_pages(image)
    return 1  # The further pictures of an MPO or HEIC file are other views, not frames.


def _count_pages(image: Image.Image) -> int:
    """Bounded, unlike `n_frames`: a directory of 18 bytes is a page."""
    for number in range(_MOST_PAGES):
        try:
            image.seek(number)
        except EOFError:
            return number
    return _MOST_PAGES


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
