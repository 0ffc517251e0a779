"""Makers of hostile images, for the table of `hostile_images`. Each returns the bytes of a file."""

import random
import struct
import zlib

from PIL import Image

from tests.support import images


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


def tiff_of_bands(bands: int, *, photometric: int, extra: int | None = None) -> bytes:
    """8 x 6 px of `bands` bytes each; photometric is 1 for gray, 2 for RGB. Without `extra` no such tag."""
    spare = bands - (3 if photometric == 2 else 1)
    tags = {**tiff_tags(8, 6), 262: (3, 1, photometric), 277: (3, 1, bands), 279: (4, 1, 48 * bands)}
    if extra is not None:
        tags[338] = (3, spare, extra | extra << 16)
    behind = 8 + 2 + 12 * len(tags) + 4
    tags[258] = (3, bands, 8 | 8 << 16 if bands <= 2 else behind)
    tags[273] = (4, 1, behind + 2 * bands)
    return tiff_of(
        tags, data=struct.pack(f"<{bands}H", *[8] * bands) + bytes([200, 100, 50, 0, 0, 0][:bands]) * 48
    )


def tiff_of_old_jpeg(width: int = 64, height: int = 48) -> bytes:
    """Compression 6 of TIFF 6.0 §22: a whole JPEG, pointed to."""
    whole = images.encode(images.scene(width, height), "JPEG", quality=95)
    tags = {
        **tiff_tags(width, height, strip_bytes=len(whole)),
        259: (3, 1, 6),
        262: (3, 1, 6),
        277: (3, 1, 3),
    }
    tags |= {513: (4, 1, 0), 514: (4, 1, len(whole)), 530: (3, 2, 2 | 2 << 16)}
    behind = 8 + 2 + 12 * len(tags) + 4
    tags |= {258: (3, 3, behind), 273: (4, 1, behind + 6), 513: (4, 1, behind + 6)}
    return tiff_of(tags, data=struct.pack("<3H", 8, 8, 8) + whole)


def heic_of_size(width: int, height: int) -> bytes:
    """A true HEIC of 640 x 480 whose ispe property (ISO/IEC 23008-12 §6.5.3) tells another size."""
    return images.heic().replace(
        b"ispe" + struct.pack(">III", 0, 640, 480), b"ispe" + struct.pack(">III", 0, width, height)
    )


def jpeg_with_junk() -> bytes:
    """Bytes between two segments of the header, as some cameras and editors leave them."""
    return images.jpeg().replace(b"\xff\xdb", b"\0junk\xff\0\xff\xff\xdb", 1)
