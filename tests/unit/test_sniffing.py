"""Types by content."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.files.lifecycle import FileKind, kind_of
from media_service.uploads.sniffing import HEAD_BYTES, UNKNOWN, sniff
from tests.support import images


def brand(major: bytes, *compatible: bytes) -> bytes:
    box = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(box) + 4).to_bytes(4, "big") + box + bytes(64)


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (images.jpeg(16, 16), "image/jpeg"),
        (images.png_alpha(16, 16), "image/png"),
        (images.webp(16, 16), "image/webp"),
        (images.gif(16, 16), "image/gif"),
        (images.heic(64, 64), "image/heic"),
        (brand(b"heic", b"mif1"), "image/heic"),
        (brand(b"mif1", b"heic"), "image/heic"),
        (brand(b"mif1", b"avif"), "image/avif"),
        (brand(b"mif1"), "image/heif"),
        (brand(b"avif", b"mif1"), "image/avif"),
        (brand(b"isom", b"mp42", b"avc1"), "video/mp4"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"plain words\n", "text/plain"),
        ("Grüße, 世界\n".encode(), "text/plain"),
        (b"<!DOCTYPE html><html></html>", "text/html"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        (b'<?xml version="1.0"?><note/>', "application/xml"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "application/gzip"),
        (zipped("a.txt", b"x"), "application/zip"),
        (b"", UNKNOWN),
        (b"\x00", UNKNOWN),
        (bytes(range(16)) * 3, UNKNOWN),
    ],
)
def test_type_is_read_from_the_first_bytes(head: bytes, expected: str):
    assert sniff(head[:HEAD_BYTES]) == expected


@given(st.binary(max_size=200), st.sampled_from([b"", b"\0\0\0\x18ftyp", b"RIFF", b"\xff\xd8\xff", b"%PDF"]))
def test_anything_has_a_type(rest: bytes, start: bytes):
    found = sniff(start + rest)
    assert found.count("/") == 1
    assert found == found.strip().lower()


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/svg+xml", FileKind.IMAGE),
        ("video/mp4", FileKind.VIDEO),
        ("audio/mpeg", FileKind.AUDIO),
        ("application/pdf", FileKind.DOCUMENT),
        ("text/csv", FileKind.DOCUMENT),
        ("application/zip", FileKind.OTHER),
        (UNKNOWN, FileKind.OTHER),
    ],
)
def test_kind_follows_from_the_type(content_type: str, kind: FileKind):
    assert kind_of(content_type) is kind
