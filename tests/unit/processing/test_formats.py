"""TIFF, BMP, icons, AVIF and animations: right pixels, turned once; and the captions of XMP and IPTC."""

import io
import json

import pytest
from PIL import Image

from media_service.transforms.spec import PROCESSABLE_TYPES
from media_service.uploads.sniffing import sniff
from tests.support import images
from tests.unit.processing.conftest import Process
from tests.unit.processing.test_pixels import difference, opened
from workers.processing.exif_values import MAX_ITEM_CHARS, MAX_TEXTS
from workers.processing.formats import SOURCE_FORMATS
from workers.processing.iptc import describe_iptc
from workers.processing.xmp import MAX_XMP_BYTES, describe_xmp

SCENE = images.scene()
SMALL = SCENE.resize((400, 300), Image.Resampling.LANCZOS)
TIFF, BMP, ICO, AVIF = "image/tiff", "image/bmp", "image/x-icon", "image/avif"

CAPTION = {
    "title": "Cape Town",
    "description": "A bay",
    "creator": ["Ann", "Ben"],
    "rights": "CC0",
    "keywords": ["sea", "mountain"],
    "rating": 4,
}


def test_every_processable_type_has_a_decoder_and_no_other_has():
    assert set(SOURCE_FORMATS) == PROCESSABLE_TYPES


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (images.tiff(), TIFF),
        (images.tiff(big_tiff=True), TIFF),
        (images.bmp(), BMP),
        (images.ico(), ICO),
        (images.ico(bitmap_format="bmp"), ICO),
        (images.avif(), AVIF),
        (images.avif(save_all=True, append_images=[SCENE]), AVIF),
        (images.apng(), "image/apng"),
    ],
)
def test_the_sniffer_calls_them_as_the_pipeline_does(data: bytes, content_type: str):
    assert sniff(data[:4096]) == content_type


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_tiff_of_every_compression_gives_the_scene(process: Process, compression: str):
    result = process(images.tiff(compression=compression, exif=b""), TIFF)
    assert result.metadata["format"] == "tiff"
    assert difference(opened(result.renditions[0]), SMALL) < 2.5


@pytest.mark.parametrize(
    ("data", "content_type", "size"),
    [
        (images.tiff(big_tiff=True), TIFF, (400, 300)),
        (images.bmp(), BMP, (400, 300)),
        (images.avif(), AVIF, (400, 300)),
        (images.ico(), ICO, (256, 256)),
        (images.ico(bitmap_format="bmp"), ICO, (256, 256)),
        (images.apng(640, 480), "image/apng", (400, 300)),
    ],
)
def test_other_formats_give_the_scene(
    process: Process, data: bytes, content_type: str, size: tuple[int, int]
):
    made = opened(process(data, content_type).renditions[0]).convert("RGB")
    assert difference(made, SCENE.resize(size, Image.Resampling.LANCZOS)) < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["tiff", "avif"])
def test_every_orientation_is_applied_once(process: Process, name: str, orientation: int):
    data = {"tiff": images.tiff, "avif": images.avif}[name](orientation=orientation)
    result = process(data, f"image/{name}")
    assert (result.metadata["width"], result.metadata["height"]) == (640, 480)
    assert difference(opened(result.renditions[0]), SMALL) < 2.5


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_tiff_of_every_mode_is_shown(process: Process, mode: str):
    gray = SCENE.convert("L")
    deep = gray.convert("I").point(lambda value: value * 257).convert("I;16")
    stored = deep if mode == "I;16" else SCENE.convert(mode)
    result = process(images.encode(stored, "TIFF"), TIFF)
    expected = gray if mode in {"1", "L", "LA", "I;16"} else SCENE
    limit = {"CMYK": 50, "P": 8, "1": 25}.get(mode, 3)
    made = opened(result.renditions[0]).convert("RGB")
    assert difference(made, expected.convert("RGB").resize((400, 300))) < limit
    assert result.metadata["color_space"] == {"CMYK": "cmyk"}.get(
        mode, "rgb" if expected is SCENE else "gray"
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_bmp_of_every_mode_is_shown_as_pillow_shows_it(process: Process, mode: str):
    data = images.encode(images.scene(200, 150).convert(mode), "BMP")
    made = opened(process(data, BMP).renditions[0])
    with Image.open(io.BytesIO(data)) as stored:
        assert difference(made, stored.convert(made.mode)) < 1


def test_alpha_of_avif_and_icons_is_kept(process: Process):
    image = images.scene(256, 256)
    image.putalpha(Image.linear_gradient("L"))
    for content_type, name in ((AVIF, "AVIF"), (ICO, "ICO"), (TIFF, "TIFF")):
        result = process(images.encode(image, name), content_type)
        assert result.metadata["has_alpha"] is True
        made = opened(result.renditions[0])
        assert difference(made.getchannel("A"), image.getchannel("A")) < 3


@pytest.mark.parametrize(("content_type", "name"), [(TIFF, "TIFF"), (AVIF, "AVIF")])
def test_wide_gamut_colours_are_converted(process: Process, content_type: str, name: str):
    profile = images.wide_gamut_profile()
    muted = SCENE.point(lambda value: 64 + value // 2)
    data = images.encode(muted, name, icc_profile=profile)
    expected = images.to_srgb(muted, profile).resize((400, 300), Image.Resampling.LANCZOS)
    assert difference(opened(process(data, content_type).renditions[0]), expected) < 2.5


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (images.apng(frames=4), "image/apng"),
        (images.apng(frames=4), "image/png"),
        (images.avif(320, 240, save_all=True, append_images=[Image.new("RGB", (320, 240))] * 3), AVIF),
        (images.tiff(320, 240, save_all=True, append_images=[Image.new("RGB", (320, 240))] * 3), TIFF),
    ],
)
def test_animations_and_pages_give_the_first_and_their_number(
    process: Process, data: bytes, content_type: str
):
    result = process(data, content_type)
    assert result.metadata["frames"] == 4
    assert difference(opened(result.renditions[0]).convert("RGB"), images.scene(320, 240)) < 3


def test_tiff_tells_its_exif(process: Process):
    described = process(images.tiff(orientation=6), TIFF).metadata["exif"]
    assert (described["make"], described["iso"], described["orientation"]) == ("Acme", 100, 6)
    assert described["gps"]["latitude"] == -33.925


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("AVIF", AVIF), ("HEIF", "image/heic")],
)
def test_xmp_of_every_format_is_read(process: Process, name: str, content_type: str):
    data = images.encode(SCENE, name, xmp=images.xmp())
    assert process(data, content_type).metadata["xmp"] == CAPTION


def test_xmp_of_png_and_tiff_is_read(process: Process):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", images.xmp().decode())
    assert process(images.encode(SCENE, "PNG", pnginfo=text), "image/png").metadata["xmp"] == CAPTION
    assert process(images.tiff(tiffinfo={700: images.xmp()}, exif=b""), TIFF).metadata["xmp"] == CAPTION


def test_iptc_is_read(process: Process):
    expected = {
        "title": "Cape Town",
        "description": "A bäy",
        "creator": ["Zoë"],
        "rights": "CC0",
        "keywords": ["sea", "mountain"],
    }
    assert process(images.jpeg_with_iptc()).metadata["iptc"] == expected


def test_xmp_turns_a_picture_only_where_exif_says_nothing(process: Process):
    turned = process(images.encode(SCENE, "JPEG", xmp=images.xmp(orientation=6)))
    assert (turned.metadata["width"], turned.metadata["xmp"]["orientation"]) == (480, 6)
    carried = {"xmp": images.xmp(orientation=6), "exif": images.exif(orientation=1)}
    kept = process(images.encode(SCENE, "JPEG", **carried))
    assert (kept.metadata["width"], kept.metadata["xmp"]) == (640, CAPTION)


def test_xmp_never_turns_what_its_container_turns(process: Process):
    data = images.encode(SCENE, "AVIF", xmp=images.xmp(orientation=6))
    assert process(data, AVIF).metadata["width"] == 640
    # pillow-heif, which wrote the HEIC, has moved the turn from XMP into irot.
    data = images.encode(SCENE, "HEIF", xmp=images.xmp(orientation=6))
    assert process(data, "image/heic").metadata["width"] == 480


HOSTILE_XMP = {
    "entities": b'<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
    "external entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "external DTD": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>',
    "nesting": b"<a>" * 30_000 + b"</a>" * 30_000,
    "cut": images.xmp()[:300],
    "other bytes": b"\xff\xfe\x00" * 99,
    "too long": b"<x>" + b" " * MAX_XMP_BYTES + b"</x>",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE_XMP)
def test_hostile_xmp_is_no_xmp(name: str):
    assert describe_xmp(HOSTILE_XMP[name]) == {}


@pytest.mark.parametrize("value", ["9", "1e400", "nan", "-7", "x" * 9000, ""])
def test_impossible_ratings_are_dropped(value: str):
    data = images.xmp().replace(b'"4"', f'"{value}"'.encode())
    assert "rating" not in describe_xmp(data)


def test_text_is_cut_and_cleaned():
    title = "A\r\n\u202ehidden" + "x" * 9000
    many = b"<rdf:li>" + "\U0001f600".encode() * 500 + b"</rdf:li>"
    described = describe_xmp(images.xmp(title=title).replace(b"<rdf:li>sea</rdf:li>", many * 60))
    assert described["title"].startswith("Ahidden")
    assert len(described["keywords"]) == MAX_TEXTS
    assert {len(word) for word in described["keywords"]} == {MAX_ITEM_CHARS}


def test_the_longest_metadata_still_fits_a_childs_line(process: Process):
    wide = "\U0001f600" * 256
    tags = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x8298):
        tags[tag] = wide
    words = "".join(f"<rdf:li>{wide[:64]}</rdf:li>" for _ in range(60)).encode()
    text = images.xmp(title=wide).replace(b"<rdf:li>sea</rdf:li>", words)
    text = text.replace(b"<rdf:li>Ann</rdf:li>", words)
    result = process(images.encode(SCENE, "JPEG", xmp=text[:65_000], exif=tags.tobytes()))
    assert len(json.dumps(result.metadata)) > 1000
    assert process(images.encode(SCENE, "AVIF", xmp=text), AVIF).metadata["xmp"]["keywords"]


def test_every_cut_and_flip_of_iptc_gives_json():
    whole = images.iptc()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        json.dumps([describe_iptc(whole[:place]), describe_iptc(bytes(damaged))], allow_nan=False)
