"""From a file to the frames or the one page that were asked for. Runs in the child.

Unlike `decode.py`, everything is decoded here and now: frames build on each other, so all are in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from workers.processing import decode, tiff

DEFAULT_DELAY_MS = 100
"""What browsers take for a frame that does not say."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Pictures of one size, and for how long each is shown."""

    images: list[pyvips.Image]
    delays_ms: list[int]
    loop: int = 0
    """How often an animation is played; 0 for ever."""


PAGED_FORMATS = frozenset({"gif", "webp", "png", "avif", "tiff"})
"""Of which more than the first page can be had."""


def decode_pages(source: Path, format_name: str, *, first: int, count: int) -> Pages:
    """`count` pages from `first` (from 0), which the caller knows to be there. Raises what decoders raise."""
    if format_name in {"gif", "webp"}:
        return _by_vips(source, format_name, first, count)
    if format_name == "tiff" and not tiff.is_left_to_pillow(source):
        image = pyvips.Image.tiffload(str(source), page=first, n=1, unlimited=True, fail_on="error")
        return Pages([tiff.without_spare_bands(image, source)], [0])
    return _by_pillow(source, format_name, first, count)


def _by_vips(source: Path, format_name: str, first: int, count: int) -> Pages:
    load = pyvips.Image.gifload if format_name == "gif" else pyvips.Image.webpload
    tall = load(str(source), page=first, n=count, fail_on="error").copy_memory()
    height = tall.get("page-height") if count > 1 else tall.height
    images = [tall.crop(0, top, tall.width, height) for top in range(0, tall.height, height)]
    delays = tall.get("delay") if tall.get_typeof("delay") else []
    loop = tall.get("loop") if tall.get_typeof("loop") else 0
    return Pages(images, _padded(delays[first : first + count], len(images)), loop)


def _padded(delays_ms: list[int], count: int) -> list[int]:
    return [*delays_ms, *[DEFAULT_DELAY_MS] * count][:count]


def _by_pillow(source: Path, format_name: str, first: int, count: int) -> Pages:
    with Image.open(source, formats=[format_name.upper()]) as image:
        # From the beginning: each frame of an APNG is drawn over the one before.
        shown = [frame for number, frame in _frames(image, first + count) if number >= first]
        loop = image.info.get("loop", 0)
    return Pages([picture for picture, _ in shown], [delay for _, delay in shown], int(loop))


def _frames(image: Image.Image, end: int) -> Iterator[tuple[int, tuple[pyvips.Image, int]]]:
    for number in range(end):
        image.seek(number)
        pixels = np.asarray(image.convert("RGBA"))
        delay = round(float(image.info.get("duration") or DEFAULT_DELAY_MS))
        yield number, (decode.to_vips(pixels, image.info.get("icc_profile")), delay)
