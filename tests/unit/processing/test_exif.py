"""Metadata of strangers becomes JSON that can be stored, or nothing."""

import json

import pytest
from PIL import Image, TiffImagePlugin

from tests.support import images
from tests.unit.processing.conftest import Process
from workers.processing.exif import describe_exif, load_exif, orientation_of
from workers.processing.exif_values import MAX_STRING_CHARS, to_integer, to_number, to_text
from workers.processing.gps import read_gps

EXPECTED = {
    "make": "Acme",
    "model": "Camera 1",
    "software": "Firmware 2.0",
    "orientation": 6,
    "exposure_time": 0.004,
    "f_number": 1.8,
    "iso": 100,
    "focal_length": 26.0,
    "lens": "Acme 26mm f/1.8",
    "taken_at": "2024-05-06T07:08:09+02:00",
    "gps": {"latitude": -33.925, "longitude": 18.42, "altitude": 12.5},
}


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (images.jpeg(orientation=6), "image/jpeg"),
        (images.encode(images.scene(), "PNG", exif=images.exif(orientation=6)), "image/png"),
        (images.webp(exif=images.exif(orientation=6)), "image/webp"),
        (images.heic(orientation=6), "image/heic"),
    ],
)
def test_exif_of_every_format_is_read(process: Process, data: bytes, content_type: str):
    described = process(data, content_type).metadata["exif"]
    # pillow-heif, which wrote the HEIC, moves the turn from EXIF into irot.
    assert described == EXPECTED | {"orientation": 1 if content_type == "image/heic" else 6}


def test_control_characters_and_length_are_cut():
    described = describe_exif(load_exif(images.exif(make="A\r\nSet-Cookie: \x1b[31m" + "x" * 9000)))
    assert described["make"].startswith("ASet-Cookie: [31mx")
    assert len(described["make"]) == MAX_STRING_CHARS


@pytest.mark.parametrize(
    "data", [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\xff", b"MM\0*" + b"\xff" * 400, bytes(99)]
)
def test_broken_exif_is_no_exif(data: bytes):
    loaded = load_exif(data)
    assert (describe_exif(loaded), orientation_of(loaded)) == ({}, 1)


def test_every_cut_of_exif_gives_json_or_nothing():
    whole = images.exif(orientation=3)
    for length in range(len(whole)):
        json.dumps(describe_exif(load_exif(whole[:length])), allow_nan=False)


@pytest.mark.parametrize("position", range(6, 140))
def test_flipped_bytes_of_exif_give_json_or_nothing(position: int):
    damaged = bytearray(images.exif())
    damaged[position] ^= 0xFF
    loaded = load_exif(bytes(damaged))
    json.dumps(describe_exif(loaded), allow_nan=False)
    assert 1 <= orientation_of(loaded) <= 8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TiffImagePlugin.IFDRational(1, 0), None),
        (TiffImagePlugin.IFDRational(0, 0), None),
        (float("inf"), None),
        ("3.5", None),
        (TiffImagePlugin.IFDRational(1, 3), 0.333333333),
        (2, 2.0),
    ],
)
def test_numbers_are_finite(value: object, expected: object):
    assert to_number(value) == expected


def test_integers_beyond_json_and_text_are_none():
    assert [to_integer(v) for v in (2**60, "100", (), (400, 1), 5)] == [None, None, None, 400, 5]


def test_text_drops_nul_and_lone_surrogates():
    assert to_text("a\x00b\ud800c\u202e") == "abc"
    assert to_text(b"Caf\xc3\xa9\x00") == "Café"
    assert to_text(5) is None


@pytest.mark.parametrize(
    "taken_at", ["0000:00:00 00:00:00", "2024:13:45 99:99:99", "    :  :     :  :  ", "yesterday"]
)
def test_impossible_dates_are_dropped(taken_at: str):
    tags = Image.Exif()
    tags.get_ifd(0x8769)[0x9003] = taken_at
    assert describe_exif(load_exif(tags.tobytes())) == {}


@pytest.mark.parametrize(
    "tags",
    [
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 2.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: "here", 3: "E", 4: (0.0, 0.0, 0.0)},
        {2: (TiffImagePlugin.IFDRational(0, 0),) * 3, 4: (0.0, 0.0, 0.0)},
        {1: "N", 2: (1.0, 2.0, 3.0)},
    ],
)
def test_impossible_places_are_dropped(tags: dict[int, object]):
    assert read_gps(tags) == {}


def test_altitude_below_the_sea_is_negative():
    assert read_gps({5: b"\x01", 6: 12.0}) == {"altitude": -12.0}
