"""Pictures for tests, made in code: nobody's photo, no licence, and their pixels are known.

Every function returns the bytes of a file. `scene` has four unlike corners, so that any turn shows.
"""

import io
import struct
import zlib

import pillow_heif
from PIL import Image, ImageCms, TiffImagePlugin

pillow_heif.register_heif_opener()

RED, GREEN, BLUE, YELLOW = (200, 30, 40), (30, 160, 60), (40, 60, 200), (230, 210, 50)


def scene(width: int = 640, height: int = 480) -> Image.Image:
    """Corners red, green, blue and yellow (clockwise from the top left), blended smoothly between."""
    corners = Image.new("RGB", (2, 2))
    for place, color in (((0, 0), RED), ((1, 0), GREEN), ((1, 1), BLUE), ((0, 1), YELLOW)):
        corners.putpixel(place, color)
    return corners.resize((width, height), Image.Resampling.BICUBIC)


def stored_turned(image: Image.Image, orientation: int) -> Image.Image:
    """The pixels a camera would store so that a viewer who honours `orientation` sees `image`."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return image if undo is None else image.transpose(undo)


def encode(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def exif(*, orientation: int = 1, make: str = "Acme") -> bytes:
    """EXIF as a phone writes it, with GPS of Cape Town at 12.5 m."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0131] = make, "Camera 1", "Firmware 2.0"
    tags[0x0112] = orientation
    rational = TiffImagePlugin.IFDRational
    tags.get_ifd(0x8769).update(
        {
            0x829A: rational(1, 250),
            0x829D: rational(18, 10),
            0x8827: 100,
            0x9003: "2024:05:06 07:08:09",
            0x9011: "+02:00",
            0x920A: rational(26, 1),
            0xA434: "Acme 26mm f/1.8",
        }
    )
    tags.get_ifd(0x8825).update(
        {1: "S", 2: (33.0, 55.0, 30.0), 3: "E", 4: (18.0, 25.0, 12.0), 5: b"\x00", 6: rational(25, 2)}
    )
    return tags.tobytes()


def jpeg(width: int = 640, height: int = 480, *, orientation: int = 1, **options: object) -> bytes:
    """A JPEG of the scene that carries EXIF, GPS, a comment and XMP."""
    image = stored_turned(scene(width, height), orientation)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>secret-place</x:xmpmeta>"
    carried = {"exif": exif(orientation=orientation), "comment": b"secret-comment", "xmp": xmp}
    return encode(image, "JPEG", **{"quality": 92, **carried, **options})


def truncated_jpeg() -> bytes:
    """A JPEG whose second half is missing."""
    whole = jpeg()
    return whole[: len(whole) // 2]


def damaged_jpeg() -> bytes:
    """A JPEG with a stretch of its scan overwritten by the end of the image."""
    whole = jpeg()
    middle = len(whole) * 2 // 3
    return whole[:middle] + b"\xff\xd9" + whole[middle:]


def png_alpha(width: int = 640, height: int = 480) -> bytes:
    """The scene, opaque on the right and fading to nothing on the left."""
    image = scene(width, height)
    image.putalpha(Image.linear_gradient("L").rotate(90).resize((width, height)))
    return encode(image, "PNG")


def png_16_bit(width: int = 640, height: int = 480) -> bytes:
    """A gray 16-bit PNG: a gradient from left to right."""
    ramp = Image.linear_gradient("L").rotate(90).resize((width, height)).convert("I").point(lambda v: v * 257)
    return encode(ramp.convert("I;16"), "PNG")


def png_16_bit_rgba(profile: bytes | None = None) -> bytes:
    """One colour, (0x8080, 0x4040, 0xC0C0) at alpha 0x8080, in 16 bits a band; 64 x 64 px."""
    rows = zlib.compress((b"\0" + b"\x80\x80\x40\x40\xc0\xc0\x80\x80" * 64) * 64)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 6, 0, 0, 0))]
    if profile:
        chunks.append((b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    chunks += [(b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def png_header_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of one bit a pixel whose header promises far more than its 100 kB hold."""
    rows = zlib.compress(bytes(1_000_000))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def png_blank(width: int, height: int) -> bytes:
    """A true 8-bit RGBA PNG of zeros, cheap to make at any size: rows are compressed one by one."""
    packer = zlib.compressobj(1)
    row = bytes(1 + 4 * width)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def gif(width: int = 320, height: int = 240, *, frames: int = 3) -> bytes:
    """An animation whose first frame is the scene and whose others are plain."""
    others = [Image.new("RGB", (width, height), (index % 256, 0, 0)) for index in range(1, frames)]
    return encode(scene(width, height), "GIF", save_all=True, append_images=others, duration=40)


def gif_of_tiny_frames(frames: int) -> bytes:
    """A GIF of 1 x 1 px frames on a large screen; 25 bytes a frame."""
    start = b"GIF89a" + struct.pack("<HHBBB", 2000, 2000, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    control = b"\x21\xf9\x04\x04\x01\x00\x00\x00"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return start + (control + picture) * frames + b";"


def webp(width: int = 640, height: int = 480, **options: object) -> bytes:
    return encode(scene(width, height), "WEBP", quality=90, **options)


def heic(width: int = 640, height: int = 480, *, orientation: int = 1) -> bytes:
    """A HEIC whose turn is written as irot/imir, as cameras do."""
    return encode(
        stored_turned(scene(width, height), orientation),
        "HEIF",
        quality=90,
        exif=exif(orientation=orientation),
    )


def tiff(width: int = 640, height: int = 480, *, orientation: int = 1, **options: object) -> bytes:
    """A TIFF whose orientation is in its own directory, as everything of a TIFF."""
    image = stored_turned(scene(width, height), orientation)
    return encode(image, "TIFF", **{"exif": exif(orientation=orientation), **options})


def bmp(width: int = 640, height: int = 480) -> bytes:
    return encode(scene(width, height), "BMP")


def ico(side: int = 256, **options: object) -> bytes:
    """An icon of three sizes, by default of PNGs; `bitmap_format="bmp"` makes those of the old kind."""
    sizes = [(16, 16), (side // 2, side // 2), (side, side)]
    return encode(scene(side, side).convert("RGBA"), "ICO", sizes=sizes, **options)


def avif(width: int = 640, height: int = 480, *, orientation: int = 1, **options: object) -> bytes:
    """An AVIF whose turn is written as irot/imir."""
    image = stored_turned(scene(width, height), orientation)
    return encode(
        image, "AVIF", **{"quality": 90, "speed": 9, "exif": exif(orientation=orientation), **options}
    )


def apng(width: int = 320, height: int = 240, *, frames: int = 3) -> bytes:
    """An animated PNG whose first frame is the scene."""
    others = [Image.new("RGB", (width, height), (index % 256, 0, 0)) for index in range(1, frames)]
    return encode(scene(width, height), "PNG", save_all=True, append_images=others, duration=40)


def xmp(*, orientation: int | None = None, title: str = "Cape Town") -> bytes:
    """XMP as editors write it, with two languages, lists, and simple properties as attributes."""
    turn = f'tiff:Orientation="{orientation}"' if orientation else ""
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
      xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
      xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/">
      <rdf:Description rdf:about="" xmp:Rating="4" {turn}>
      <dc:title><rdf:Alt><rdf:li xml:lang="de">Kapstadt</rdf:li>
        <rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
      <dc:description><rdf:Alt><rdf:li xml:lang="x-default">A bay</rdf:li></rdf:Alt></dc:description>
      <dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>
      <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">CC0</rdf:li></rdf:Alt></dc:rights>
      <dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>mountain</rdf:li></rdf:Bag></dc:subject>
      </rdf:Description></rdf:RDF></x:xmpmeta>""".encode()


def iptc() -> bytes:
    """IPTC-IIM datasets, one of them not UTF-8."""
    fields = [(5, b"Cape Town"), (25, b"sea"), (25, b"mountain"), (80, "Zoë".encode("latin-1")),
              (116, b"CC0"), (120, "A b\u00e4y".encode())]  # fmt: skip
    return b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(data)) + data for number, data in fields)


def jpeg_with_iptc() -> bytes:
    """A JPEG with Photoshop's segment, which holds the datasets."""
    data = iptc()
    resource = b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(data)) + data
    body = b"Photoshop 3.0\0" + resource + bytes(len(data) % 2)
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    whole = encode(scene(), "JPEG")
    return whole[:2] + segment + whole[2:]


def wide_gamut_profile() -> bytes:
    """A minimal ICC v2 matrix profile with the primaries of Display P3 (adapted to D50) and gamma 2.2."""
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.9642, 1.0, 0.8249),
    }
    tags = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz))
        for name, xyz in primaries.items()
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags.update(dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))
    name = b"Wide test\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(80)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    return _icc_file(tags)


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """What a colour-managed viewer shows: the reference for our own conversion."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    shown = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    assert shown is not None
    return shown


def _icc_file(tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += padded
    header = bytearray(128)
    struct.pack_into(">I", header, 0, start + len(body))
    struct.pack_into(">I", header, 8, 0x02100000)
    header[12:24], header[36:40] = b"mntrRGB XYZ ", b"acsp"
    struct.pack_into(">3i", header, 68, *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(header) + table + body


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
