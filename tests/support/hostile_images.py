"""Hostile images, made in code: at least four of each class, with what must come of them.

`ROWS` is the table. An outcome is the code of the refusal, or READY for a file that is processed like any
other. Files are made when asked for: some take a while, and most are wanted by one test only.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from tests.support import images
from tests.support.hostile_makers import (
    apng_of_frames,
    avif_of_size,
    blank_avif,
    bmp_of_runs,
    bmp_of_size,
    captioned,
    chunk,
    compressed_zeros,
    cut,
    dib_of_size,
    exif_bomb,
    gif_beyond_its_screen,
    gif_of_size,
    heic_of_size,
    ico_with,
    interlaced_png,
    jpeg_of_size,
    noise_png,
    png,
    png_of_size,
    tiff_flood,
    tiff_of,
    tiff_of_bands,
    tiff_pages,
    tiff_tags,
    webp_of_frames,
    webp_of_size,
)

READY = "ready"
PIXELS, SIDE, FRAMES = "image-too-many-pixels", "image-too-large-side", "too-many-frames"
UNREADABLE = "unreadable-media"

JPEG, PNG, GIF, WEBP, HEIC = "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic"
TIFF, BMP, ICO, AVIF = "image/tiff", "image/bmp", "image/x-icon", "image/avif"


@dataclass(frozen=True, slots=True)
class HostileImage:
    """One row of the table."""

    group: str
    name: str
    content_type: str
    """What the sniffer would call it, or what an attacker got it to be called."""
    make: Callable[[], bytes]
    outcomes: tuple[str, ...]
    """Any of these; more than one where the library may change its mind."""


def _rows(
    group: str, *rows: tuple[str, str, Callable[[], bytes], str | tuple[str, ...]]
) -> list[HostileImage]:
    return [
        HostileImage(group, name, content_type, make, (outcome,) if isinstance(outcome, str) else outcome)
        for name, content_type, make, outcome in rows
    ]


ROWS = [
    *_rows(
        "pixel flood",
        ("PNG 30000 x 30000 in 1 bit", PNG, images.png_header_bomb, PIXELS),
        ("PNG header 65535 x 65535", PNG, lambda: png_of_size(65_535, 65_535), PIXELS),
        ("PNG strip", PNG, lambda: png_of_size(1, 40_000_000), SIDE),
        ("GIF screen 65535 x 65535", GIF, lambda: gif_of_size(65_535, 65_535), PIXELS),
        ("JPEG frame 65500 x 65500", JPEG, lambda: jpeg_of_size(65_500, 65_500), PIXELS),
        ("BMP 3M x 2M", BMP, lambda: bmp_of_size(3_000_000, 2_000_000), PIXELS),
        ("BMP of runs, 8000 x 8000", BMP, lambda: bmp_of_runs(8000, 8000), PIXELS),
        (
            "TIFF of 10 gigapixels",
            TIFF,
            lambda: tiff_of(tiff_tags(100_000, 100_000), data=bytes(100)),
            PIXELS,
        ),
        (
            "TIFF of 4 giga a side",
            TIFF,
            lambda: tiff_of(tiff_tags(2**32 - 1, 2**32 - 1)),
            (PIXELS, UNREADABLE),
        ),
        ("icon that hides 400 MP in a PNG", ICO, lambda: ico_with(png_of_size(20_000, 20_000)), PIXELS),
        ("icon that hides 400 MP in a DIB", ICO, lambda: ico_with(dib_of_size(20_000, 20_000)), PIXELS),
        ("icon that hides a strip", ICO, lambda: ico_with(png_of_size(20_001, 2)), SIDE),
        ("WebP canvas 16383 x 16383", WEBP, lambda: webp_of_size(16_383, 16_383), (PIXELS, UNREADABLE)),
        ("HEIC 60000 x 60000", HEIC, lambda: heic_of_size(60_000, 60_000), PIXELS),
        ("AVIF 8000 x 8000", AVIF, lambda: avif_of_size(8000, 8000), PIXELS),
    ),
    *_rows(
        "legal but heavy",
        ("PNG of 49 MP", PNG, lambda: images.png_blank(7000, 7000), READY),
        ("interlaced PNG of 36 MP", PNG, lambda: interlaced_png(6000, 6000), READY),
        ("BMP of runs, 25 MP", BMP, lambda: bmp_of_runs(5000, 5000), READY),
        ("AVIF of 25 MP", AVIF, lambda: blank_avif(5000, 5000), READY),
        (
            "TIFF of 25 MP in one strip",
            TIFF,
            lambda: images.encode(
                Image.new("RGB", (5000, 5000)), "TIFF", compression="tiff_adobe_deflate", strip_size=2**30
            ),
            READY,
        ),
        ("PNG of noise", PNG, lambda: noise_png(1500), READY),
    ),
    *_rows(
        "inner bombs",
        (
            "zTXt of 200 MB",
            PNG,
            lambda: png(chunk(b"zTXt", b"Comment\0\0" + compressed_zeros(200))),
            (READY, UNREADABLE),
        ),
        (
            "iCCP of 200 MB",
            PNG,
            lambda: png(chunk(b"iCCP", b"profile\0\0" + compressed_zeros(200))),
            (READY, UNREADABLE),
        ),
        (
            "iTXt XMP of 200 MB",
            PNG,
            lambda: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + compressed_zeros(200))),
            (READY, UNREADABLE),
        ),
        (
            "200,000 tEXt chunks",
            PNG,
            lambda: png(chunk(b"tEXt", b"Comment\0" + b"x" * 40) * 200_000),
            (READY, UNREADABLE),
        ),
        (
            "EXIF tags of 4 GB",
            JPEG,
            lambda: images.encode(images.scene(64, 48), "JPEG", exif=exif_bomb()),
            READY,
        ),
        (
            "XMP of entities",
            JPEG,
            lambda: images.encode(
                images.scene(64, 48),
                "JPEG",
                xmp=b'<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]><x>&b;</x>',
            ),
            READY,
        ),
    ),
    *_rows(
        "frames",
        ("GIF of 50,000", GIF, lambda: images.gif_of_tiny_frames(50_000), FRAMES),
        ("APNG of 20,000", PNG, lambda: apng_of_frames(20_000), FRAMES),
        ("APNG of 4 billion", PNG, lambda: apng_of_frames(2**32 - 1), (FRAMES, READY, UNREADABLE)),
        ("WebP of 501", WEBP, lambda: webp_of_frames(501), FRAMES),
        ("TIFF of 2,000 pages", TIFF, lambda: tiff_pages(2000), FRAMES),
        ("GIF frame beyond its screen", GIF, gif_beyond_its_screen, (READY, UNREADABLE)),
    ),
    *_rows(
        "truncated or corrupt",
        ("half a JPEG", JPEG, images.truncated_jpeg, UNREADABLE),
        ("PNG with a bad checksum", PNG, lambda: images.png_alpha()[:-3000] + bytes(3000), UNREADABLE),
        ("PNG of no width", PNG, lambda: png_of_size(0, 9), UNREADABLE),
        ("half a TIFF", TIFF, lambda: cut(images.tiff(), 0.5), UNREADABLE),
        ("half a BMP", BMP, lambda: cut(images.bmp(), 0.5), UNREADABLE),
        ("half an icon", ICO, lambda: cut(images.ico(), 0.9), UNREADABLE),
        ("half an AVIF", AVIF, lambda: cut(images.avif(), 0.5), UNREADABLE),
        (
            "TIFF whose directories go round",
            TIFF,
            lambda: tiff_of(tiff_tags(10, 10), following=8, data=bytes(100)),
            (READY, UNREADABLE),
        ),
        (
            "TIFF with a strip of 4 GB",
            TIFF,
            lambda: tiff_of(tiff_tags(10, 10, strip_bytes=2**32 - 1)),
            UNREADABLE,
        ),
        ("HEIC larger than it says", HEIC, lambda: heic_of_size(64, 48), UNREADABLE),
        ("TIFF of 5 bands", TIFF, lambda: tiff_of_bands(5, photometric=2), READY),
        ("gray TIFF of 4 bands", TIFF, lambda: tiff_of_bands(4, photometric=1), READY),
        ("TIFF of 60,000 tags", TIFF, tiff_flood, (READY, UNREADABLE)),
        ("icon of 65,535 entries", ICO, lambda: ico_with(b"", entries=65_535), UNREADABLE),
        ("icon in an icon", ICO, lambda: ico_with(images.ico()), UNREADABLE),
        ("BMP of negative width", BMP, lambda: bmp_of_size(-10, 10), PIXELS),
        ("BMP of no size", BMP, lambda: bmp_of_size(0, 0), UNREADABLE),
        ("BMP of 7 bits", BMP, lambda: bmp_of_size(10, 10, bits=7), UNREADABLE),
    ),
    *_rows(
        "disguise",
        ("HTML as PNG", PNG, lambda: b"<html><script>alert(1)</script>", UNREADABLE),
        (
            "PostScript as TIFF",
            TIFF,
            lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            UNREADABLE,
        ),
        ("PHP as BMP", BMP, lambda: b"BM<?php system($_GET[0]); ?>", UNREADABLE),
        ("SVG as AVIF", AVIF, lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", UNREADABLE),
        ("PNG as icon", ICO, images.png_alpha, UNREADABLE),
        (
            "GIF that is JavaScript",
            GIF,
            lambda: b"GIF89a/*" + images.gif(frames=1)[8:] + b"*/=1;alert(1)",
            (READY, UNREADABLE, PIXELS),
        ),
        ("PNG that is an archive", PNG, lambda: png(tail=b"PK\5\6" + bytes(18)), READY),
        ("JPEG that is a page", JPEG, lambda: images.jpeg() + b"<html><script>alert(1)</script>", READY),
        ("nothing", TIFF, lambda: b"", UNREADABLE),
        ("one byte", BMP, lambda: b"B", UNREADABLE),
        ("noise", ICO, lambda: b"\0\0\1\0" + random.Random(1).randbytes(5000), UNREADABLE),
    ),
    *_rows(
        "metadata",
        ("script in a description", JPEG, lambda: captioned("<script>alert(1)</script>"), READY),
        ("line breaks in a description", JPEG, lambda: captioned("a\r\nSet-Cookie: b=c\r\n\r\n"), READY),
        ("a description of 30 kB", JPEG, lambda: captioned("x" * 30_000), READY),
        ("an orientation of 99", JPEG, lambda: images.jpeg(orientation=99), READY),
        ("GPS", JPEG, lambda: images.jpeg(orientation=6), READY),
        (
            "XMP cut short",
            JPEG,
            lambda: images.encode(images.scene(64, 48), "JPEG", xmp=images.xmp()[:200]),
            READY,
        ),
    ),
]
