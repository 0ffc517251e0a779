"""What a file says about itself, before a pixel is decoded. Runs in the child.

Pillow reads the header of the one sniffed format; libvips that of WebP, for which Pillow allocates two whole
canvases (400 MB of address space at 50 MP). Nothing here calls `load()`; in particular EXIF is taken from
`info`, since `getexif()` of a PNG without it would decode the whole picture.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import pyvips
from PIL import Image

from workers.processing import failures
from workers.processing.formats import SourceFormat
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


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of a header that decide anything. `size` is as stored, before orientation."""

    size: Size
    frames: int
    color_space: str
    exif: bytes
    """Raw TIFF structure, empty if there is none."""


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
    if source_format.name == "webp":
        return _read_webp(source)
    with Image.open(source, formats=[source_format.pillow]) as image:
        return Header(
            size=Size(*image.size),
            frames=_count_frames(source, source_format, image),
            color_space=_COLOR_SPACES.get(image.mode, "rgb"),
            exif=_bytes(image.info.get("exif")),
        )


def _read_webp(source: Path) -> Header:
    image = pyvips.Image.webpload(str(source))
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    exif = image.get("exif-data") if image.get_typeof("exif-data") else b""
    return Header(Size(image.width, image.height), frames, "rgb", _bytes(exif))


def _count_frames(source: Path, source_format: SourceFormat, image: Image.Image) -> int:
    if source_format.name == "gif":
        # Pillow seeks through every frame (0.24 s for 50,000 of them), libvips scans the blocks (4 ms).
        return int(pyvips.Image.gifload(str(source)).get("n-pages"))
    if source_format.name == "png":
        return int(getattr(image, "n_frames", 1))
    return 1  # The further pictures of an MPO or HEIC file are other views, not frames.


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
