"""Hostile images, made in code: at least four of each class, with what must come of them.

`ROWS` is the table. An outcome is the code of the refusal, or READY for a file that is processed like any
other. Files are made when asked for: some take a while, and most are wanted by one test only.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from tests.support import images

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


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*extra: bytes, size: tuple[int, int] = (64, 48), tail: bytes = b"") -> bytes:
    """A PNG of the scene with chunks of one's choice behind its header."""
    whole = images.encode(images.scene(*size), "PNG")
    return whole[:33] + b"".join(extra) + whole[33:] + tail


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 999))
        + chunk(b"IEND", b"")
    )


def jpeg_of_size(width: int, height: int) -> bytes:
    """A true small JPEG whose frame header tells another size."""
    whole = bytearray(images.encode(images.scene(64, 48), "JPEG"))
    place = whole.index(b"\xff\xc0") + 5
    whole[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


def gif_of_size(width: int, height: int) -> bytes:
    whole = images.gif(32, 24, frames=1)
    return whole[:6] + struct.pack("<HH", width, height) + whole[10:]


def bmp_of_size(width: int, height: int, *, bits: int = 24) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 999, 0, 0, 54) + header + bytes(999)


def bmp_of_runs(width: int, height: int) -> bytes:
    """Run-length coded: 255 px for every two bytes."""
    runs = b"".join(bytes([min(255, width - at), 1]) for at in range(0, width, 255)) + b"\0\0"
    body = runs * height + b"\0\1"
    palette = bytes(8)
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 2835, 2835, 2, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def webp_of_size(width: int, height: int) -> bytes:
    """VP8X promises a canvas; the frame inside is small."""
    canvas = (
        b"VP8X"
        + struct.pack("<II", 10, 0)
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3]
    )
    inner = images.encode(images.scene(64, 48), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(inner)) + b"WEBP" + canvas + inner


def ico_with(picture: bytes, *, entries: int = 1) -> bytes:
    """An icon whose directory says 256 px, whatever is inside."""
    start = 6 + 16 * entries
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(picture), start)
    return struct.pack("<HHH", 0, 1, entries) + entry * entries + picture


def dib_of_size(width: int, height: int) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(999)


def tiff_of(tags: dict[int, tuple[int, int, int]], *, following: int = 0, data: bytes = b"") -> bytes:
    """One directory of (type, count, value) by tag; `following` is where the next one is said to be."""
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items()))
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<I", following)
        + data
    )


def tiff_tags(
    width: int, height: int, *, strip_bytes: int = 100, rows: int | None = None
) -> dict[int, tuple[int, int, int]]:
    """Gray, 8 bits, one strip behind the directory."""
    values = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
              277: (3, 1, 1), 278: (4, 1, rows or height), 279: (4, 1, strip_bytes)}  # fmt: skip
    values[273] = (4, 1, 8 + 2 + 12 * (len(values) + 1) + 4)
    return values


def tiff_flood() -> bytes:
    """60,000 tags that nobody knows, beside those of a true picture."""
    tags = tiff_tags(10, 10)
    count = 60_000 + len(tags)
    tags[273] = (4, 1, 8 + 2 + 12 * count + 4)
    return tiff_of({**{5000 + index: (4, 1, index) for index in range(60_000)}, **tags}, data=bytes(100))


def tiff_pages(count: int) -> bytes:
    """Pages of 1 x 1 px, each a directory of its own."""
    size = 2 + 12 * 9 + 4
    pages = b""
    for index in range(count):
        tags = tiff_tags(1, 1, strip_bytes=1) | {273: (4, 1, 4)}
        following = 8 + (index + 1) * size if index + 1 < count else 0
        pages += tiff_of(tags, following=following)[8:]
    return b"II*\0" + struct.pack("<I", 8) + pages


def apng_of_frames(count: int) -> bytes:
    return png(chunk(b"acTL", struct.pack(">II", count, 0)))


def webp_of_frames(count: int) -> bytes:
    plain = [Image.new("RGB", (4, 4), (index % 256, index // 256, 0)) for index in range(1, count)]
    return images.encode(
        images.scene(4, 4), "WEBP", save_all=True, append_images=plain, lossless=True, method=0
    )


def gif_beyond_its_screen() -> bytes:
    whole = images.gif(320, 240, frames=1)
    return whole[:6] + struct.pack("<HH", 8, 8) + whole[10:]


def compressed_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def exif_bomb() -> bytes:
    """A directory whose tags each claim the whole of 4 GB."""
    entries = b"".join(struct.pack("<HHII", 0x9000 + index, 2, 0xFFFFFFF0, 8) for index in range(500))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 500) + entries + bytes(4)


def noise_png(side: int) -> bytes:
    noise = random.Random(3).randbytes(side * side * 3)
    return images.encode(Image.frombytes("RGB", (side, side), noise), "PNG", compress_level=1)


def interlaced_png(width: int, height: int) -> bytes:
    """Adam7, 8-bit RGB, blank: no row is complete before the last pass."""
    packer = zlib.compressobj(1)
    body = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        row = bytes(1 + 3 * columns)
        body += b"".join(packer.compress(row) for _ in range(rows))
    body += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def captioned(text: str) -> bytes:
    tags = Image.Exif()
    tags[0x010E], tags[0x013B] = text, text
    return images.encode(images.scene(64, 48), "JPEG", exif=tags.tobytes())


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def avif_of_size(width: int, height: int) -> bytes:
    """A true small AVIF whose ispe property (ISO/IEC 23008-12 §6.5.3) tells another size."""
    whole = bytearray(images.avif(64, 48))
    place = whole.index(b"ispe") + 8
    whole[place : place + 8] = struct.pack(">II", width, height)
    return bytes(whole)


def blank_avif(width: int, height: int) -> bytes:
    return images.encode(Image.new("L", (width, height)), "AVIF", speed=10, quality=10)


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
