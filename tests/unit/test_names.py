"""Names of files: what becomes of them when they are shown, sent back, and put into a header."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import parse_options_header

from media_service.files.names import MAX_NAME_BYTES, UNNAMED, clean_name
from media_service.uploads.headers import disposition_filename
from media_service.web.disposition import INLINE_TYPES, content_disposition


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("photo.jpg", "photo.jpg"),
        ("  photo.jpg  ", "photo.jpg"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\x.txt", "x.txt"),
        ("a/b\\c/d.txt", "d.txt"),
        ("", UNNAMED),
        (".", UNNAMED),
        ("..", UNNAMED),
        ("/", UNNAMED),
        ("\x00\x1f\x7f", UNNAMED),
        (".bashrc", ".bashrc"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("x\u202etxt.exe", "xtxt.exe"),
        ("\ud800.txt", "?.txt"),
        ("\u200d\u2764\ufe0f.png", "\u200d\u2764\ufe0f.png"),
        ("x" * 300, "x" * 255),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("猫" * 100 + ".png", "猫" * 83 + ".png"),
        ("." + "x" * 300, "." + "x" * 254),
    ],
)
def test_name_is_made_safe(given_name: str, expected: str):
    assert clean_name(given_name) == expected


@given(st.text())
def test_every_name_becomes_short_whole_and_harmless(given_name: str):
    name = clean_name(given_name)
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set("/\\\x00")
    assert not any(unicodedata.category(character) == "Cc" for character in name)
    assert name not in {".", ".."}
    assert name == unicodedata.normalize("NFC", name)


@given(st.text())
def test_cleaning_twice_changes_nothing_more(given_name: str):
    once = clean_name(given_name)
    assert clean_name(once) == once


@given(st.text().map(clean_name), st.sampled_from([None, "inline", "attachment"]))
def test_header_for_any_name_is_one_ascii_line_that_says_the_name_again(name: str, wanted: str | None):
    header = content_disposition(name, content_type="image/png", wanted=wanted)  # type: ignore[arg-type]
    assert header.isascii()
    assert header.isprintable()
    kind, options = parse_options_header(header)
    assert kind == (wanted or "inline").encode()
    assert b"filename" in options
    assert disposition_filename(header) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", 'inline; filename="a.txt"'),
        ("a b.txt", 'inline; filename="a b.txt"'),
        ('a"b\\c.txt', "inline; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt"),
        ("100%.txt", "inline; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("Zoë's €.txt", "inline; filename=\"Zoe's _.txt\"; filename*=UTF-8''Zo%C3%AB%27s%20%E2%82%AC.txt"),
    ],
)
def test_disposition_has_a_fallback_and_the_whole_name(name: str, expected: str):
    assert content_disposition(name, content_type="text/plain", wanted=None) == expected


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "text/xml", "application/json", ""])
def test_type_that_is_not_known_to_be_safe_is_an_attachment(content_type: str):
    assert content_disposition("x", content_type=content_type, wanted="inline").startswith("attachment;")


def test_no_inline_type_can_run():
    assert not [
        kind for kind in INLINE_TYPES if any(word in kind for word in ("html", "xml", "script", "svg"))
    ]
