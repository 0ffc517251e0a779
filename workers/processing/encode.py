"""From pixels to a rendition file. Runs in the child. No metadata of the original survives: keep="none"."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyvips

from workers.processing import pixels

WEBP_EFFORT = 2
"""0 to 6; libvips' default is 4. Measured at quality 80 on two photos of 0.3 MP and a synthetic one of 2 MP:
2 takes 52 to 63 % of the CPU of 4 for 1 to 7 % more bytes and 0.002 to 0.003 less SSIM; 1 saves a further
quarter of the CPU for 4 to 17 % more bytes; 6 takes about twice the CPU of 4 for 2 to 5 % fewer bytes."""


AVIF_EFFORT = 1
"""0 to 9; libvips' default is 4. Measured on a synthetic photo of 0.5 MP at quality 60: 1 takes 26 ms for the
bytes of 2 (42 ms) and 8 % more than 4 (590 ms): somebody waits for these."""


def encode(image: pyvips.Image, path: Path, *, target_format: str, quality: int) -> None:
    """Write 8-bit sRGB pixels. Raises pyvips.Error if the file cannot be written; KeyError for a format."""
    _ENCODERS[target_format](image, str(path), quality)


def sha256_of(path: Path) -> str:
    """64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encode_webp(image: pyvips.Image, path: str, quality: int) -> None:
    image.webpsave(path, Q=quality, effort=WEBP_EFFORT, keep="none")


def _encode_jpeg(image: pyvips.Image, path: str, quality: int) -> None:
    pixels.flatten(image).jpegsave(path, Q=quality, keep="none")


def _encode_png(image: pyvips.Image, path: str, _quality: int) -> None:
    image.pngsave(path, keep="none")


def _encode_avif(image: pyvips.Image, path: str, quality: int) -> None:
    # Even with keep="none" libvips writes it as irot, and the picture, upright by now, would be turned again.
    image = image.copy()
    image.remove("orientation")
    image.heifsave(path, compression="av1", Q=quality, effort=AVIF_EFFORT, keep="none")


def _encode_gif(image: pyvips.Image, path: str, _quality: int) -> None:
    image.gifsave(path, keep="none")


_ENCODERS: dict[str, Callable[[pyvips.Image, str, int], None]] = {
    "webp": _encode_webp,
    "jpeg": _encode_jpeg,
    "png": _encode_png,
    "avif": _encode_avif,
    "gif": _encode_gif,
}
