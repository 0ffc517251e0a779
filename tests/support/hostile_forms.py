"""Hostile multipart/form-data bodies, and what must be answered.

`ROWS` is the table of bodies that are small enough to hold, `FLOODS` of those that are made as they are sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.support.forms import BOUNDARY, CONTENT_TYPE, file_part, form, text_part

MALFORMED = (400, "malformed-multipart")
NO_FILE = (400, "no-file")
TOO_MANY = (400, "too-many-parts")
LARGE_FIELD = (413, "field-too-large")
ENCODED = (415, "unsupported-content-encoding")

Expected = tuple[int, str]
Stored = list[tuple[str, bytes]]
"""Names and contents of the files that come of it."""

START, END = f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY}--\r\n".encode()
TYPE = "multipart/form-data; boundary="


@dataclass(frozen=True, slots=True)
class HostileForm:
    """One row of the table."""

    group: str
    name: str
    content_type: str
    body: bytes
    expected: Expected | Stored


@dataclass(frozen=True, slots=True)
class FormFlood:
    """A body of tens of megabytes."""

    name: str
    pieces: Callable[[], Iterator[bytes]]
    expected: Expected
    declared_bytes: int | None = None
    """Its Content-Length; None to send it in chunks."""


def part(headers: bytes, data: bytes = b"x") -> bytes:
    """A part whose headers are exactly these."""
    return START + headers + b"\r\n\r\n" + data + b"\r\n"


def disposition(parameters: str, data: bytes = b"x", *more: str) -> bytes:
    """A part with a Content-Disposition of one's choice, and other headers behind it."""
    lines = [f"Content-Disposition: form-data{parameters}", *more]
    return part("\r\n".join(lines).encode(), data)


def bounded(boundary: str) -> bytes:
    """A whole form with another boundary."""
    return form(file_part(b"x")).replace(BOUNDARY.encode(), boundary.encode("latin-1"))


def _rows(group: str, *rows: tuple[str, str, bytes, Expected | Stored]) -> list[HostileForm]:
    return [HostileForm(group, *row) for row in rows]


def _usual(group: str, *rows: tuple[str, bytes, Expected | Stored]) -> list[HostileForm]:
    return [HostileForm(group, name, CONTENT_TYPE, body, expected) for name, body, expected in rows]


FILE: Stored = [("a.bin", b"x")]
WHOLE = form(file_part(b"x"))
NEAR = f"\r\n--{BOUNDARY}".encode()
INNER = f"Content-Type: multipart/mixed; boundary={BOUNDARY}2"
NESTED = b"--" + BOUNDARY.encode() + b"2\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\nx\r\n"

ROWS = [
    *_rows(
        "boundary",
        ("missing", "multipart/form-data", WHOLE, MALFORMED),
        ("empty", TYPE, bounded(""), MALFORMED),
        ("empty in quotes", f'{TYPE}""', bounded(""), MALFORMED),
        ("twice", f"{CONTENT_TYPE}; boundary=other", WHOLE, MALFORMED),
        ("twice, in other letters", f"{CONTENT_TYPE}; BOUNDARY={BOUNDARY}", WHOLE, MALFORMED),
        ("extended", f"multipart/form-data; boundary*=utf-8''{BOUNDARY}", WHOLE, MALFORMED),
        ("of another kind of form", f"multipart/mixed; boundary={BOUNDARY}", WHOLE, [("unnamed", WHOLE)]),
        ("of 257 characters", f"{TYPE}{'b' * 257}", bounded("b" * 257), MALFORMED),
        ("of 10,000 characters", f"{TYPE}{'b' * 10_000}", bounded("b" * 10_000), MALFORMED),
        ("of another form", f"{TYPE}other", WHOLE, MALFORMED),
        ("longer than in the body", f"{CONTENT_TYPE}9", WHOLE, MALFORMED),
        ("shorter than in the body", f"{TYPE}{BOUNDARY[:-1]}", WHOLE, MALFORMED),
        ("with a quote inside", f'{TYPE}a"b', bounded('a"b'), [("a.bin", b"x")]),
        ("of one character", f"{TYPE}b", bounded("b"), FILE),
        ("of 71 characters", f"{TYPE}{'b' * 71}", bounded("b" * 71), FILE),
        ("of hyphens", f"{TYPE}{'-' * 20}", bounded("-" * 20), FILE),
        ("of all allowed characters", f'{TYPE}"\'()+_,-./:=? 0"', bounded("'()+_,-./:=? 0"), FILE),
        ("of Latin-1", f"{TYPE}é", bounded("é"), FILE),
    ),
    *_usual(
        "structure",
        ("nothing", b"", MALFORMED),
        ("only the end", END, NO_FILE),
        ("no end", START + WHOLE[len(START) : -len(END)], MALFORMED),
        ("half an end", WHOLE[:-4], MALFORMED),
        ("line feeds alone", WHOLE.replace(b"\r\n", b"\n"), MALFORMED),
        ("carriage returns alone", WHOLE.replace(b"\r\n", b"\r"), MALFORMED),
        ("UTF-16", WHOLE.decode().encode("utf-16"), MALFORMED),
        ("no blank line", START + b'Content-Disposition: form-data; name="a"\r\n' + END, MALFORMED),
        ("a blank line first", b"\r\n\r\n" + WHOLE, FILE),
        ("text first", b"hello\r\n" + WHOLE, MALFORMED),
        ("text behind", WHOLE + b"hello", FILE),
        ("a second form behind", WHOLE + WHOLE, FILE),
        (
            "data that begins like a boundary",
            form(file_part(NEAR[:-1] + b"x")),
            [("a.bin", NEAR[:-1] + b"x")],
        ),
        ("data that goes on behind a boundary", form(file_part(NEAR + b"x")), [("a.bin", NEAR + b"x")]),
        (
            "data of a boundary without its line",
            form(file_part(NEAR[2:] + b"--")),
            [("a.bin", NEAR[2:] + b"--")],
        ),
        ("data that ends like an end", form(file_part(NEAR + b"-")), [("a.bin", NEAR + b"-")]),
        ("101 empty parts", form(*[text_part("a", "")] * 101), TOO_MANY),
        ("all of zero length", form(disposition('; name=""; filename=""', b"")), NO_FILE),
        ("a nested form", form(disposition('; name="a"', NESTED + NESTED[:23] + b"--", INNER)), NO_FILE),
    ),
    *_usual(
        "headers",
        ("none", form(part(b"")), MALFORMED),
        ("of no colon", form(part(b"nonsense")), MALFORMED),
        ("of no name", form(part(b": x")), MALFORMED),
        ("folded", form(part(b'Content-Disposition: form-data;\r\n name="a"')), MALFORMED),
        ("with NUL", form(part(b'Content\0-Disposition: form-data; name="a"')), MALFORMED),
        ("nine", form(disposition('; name="a"', b"x", *["X-A: b"] * 8)), MALFORMED),
        ("of 9 kB", form(disposition('; name="a"', b"x", "X-A: " + "b" * 9000)), MALFORMED),
        (
            "two dispositions",
            form(disposition('; name="a"', b"x", "CONTENT-DISPOSITION: form-data")),
            MALFORMED,
        ),
        (
            "of an attachment",
            form(part(b'Content-Disposition: attachment; name="a"; filename="b"')),
            MALFORMED,
        ),
        ("of base64", form(file_part(b"eA==", headers="Content-Transfer-Encoding: base64\r\n")), ENCODED),
        (
            "of quoted-printable",
            form(file_part(b"=78", headers="content-transfer-encoding: Quoted-Printable\r\n")),
            ENCODED,
        ),
        ("of 8bit", form(file_part(b"x", headers="Content-Transfer-Encoding: 8BIT\r\n")), FILE),
        ("of a lying length", form(file_part(b"x", headers="Content-Length: 99999999999\r\n")), FILE),
        (
            "of a lying type",
            form(file_part(b"x", headers="Content-Type: text/html; charset=utf-7\r\n")),
            FILE,
        ),
    ),
    *_usual(
        "parameters",
        ("no name", form(disposition('; filename="a"')), MALFORMED),
        ("two names", form(disposition('; name="a"; name="b"; filename="c"')), MALFORMED),
        ("two file names", form(disposition('; name="a"; filename="b"; FILENAME="c"')), MALFORMED),
        ("a file name inside a name", form(disposition('; name="a; filename=b"')), NO_FILE),
        ("a file name without quotes", form(disposition("; name=a; filename=b")), [("b", b"x")]),
        ("a quote that does not end", form(disposition('; name="a"; filename="b')), [('"b', b"x")]),
        (
            "an extended file name alone",
            form(disposition("; name=a; filename*=UTF-8''%E7%8C%AB")),
            [("猫", b"x")],
        ),
        (
            "an extended file name too",
            form(disposition("; name=a; filename=b; filename*=UTF-8''..%2Fc")),
            [("b", b"x")],
        ),
        ("a file name in parts", form(disposition("; name=a; filename*0=b; filename*1=c")), NO_FILE),
        ("an empty name", form(disposition('; name=""; filename="a"')), [("a", b"x")]),
        ("a name of 5,000 characters", form(disposition(f"; name={'a' * 5000}; filename=b")), [("b", b"x")]),
    ),
    *_usual(
        "charsets",
        ("_charset_ of nothing", form(text_part("_charset_", "utf-99"), file_part(b"x")), FILE),
        (
            "_charset_ of UTF-7",
            form(text_part("_charset_", "utf-7"), text_part("tags", "+AC8-"), file_part(b"x")),
            FILE,
        ),
        ("a tag that is no UTF-8", form(text_part("tags", b"\xff\xfe"), file_part(b"x")), FILE),
        (
            "a tag in UTF-16",
            form(text_part("tags", "tag".encode("utf-16")), file_part(b"x")),
            (422, "invalid-request"),
        ),
        (
            "a field name that is no UTF-8",
            form(part(b'Content-Disposition: form-data; name="\xff"')),
            NO_FILE,
        ),
    ),
]


def _repeated(
    piece: bytes, *, megabytes: int, before: bytes = b"", after: bytes = b""
) -> Callable[[], Iterator[bytes]]:
    """A body that says the same again and again, in pieces of about 64 kB."""
    block = piece * max(1, 65536 // len(piece))

    def pieces() -> Iterator[bytes]:
        yield before
        for _ in range(megabytes * 2**20 // len(block)):
            yield block
        yield after

    return pieces


TINY = text_part("a", "")
FLOODS = [
    FormFlood("a million tiny parts", _repeated(TINY, megabytes=60, after=END), TOO_MANY),
    FormFlood(
        "a flood of part headers",
        _repeated(b"X-A: b\r\n", megabytes=40, before=START, after=b"\r\n\r\n" + END),
        MALFORMED,
    ),
    FormFlood(
        "one part header without end", _repeated(b"a", megabytes=40, before=START + b"X-A: "), MALFORMED
    ),
    FormFlood("one header name without end", _repeated(b"a", megabytes=40, before=START), MALFORMED),
    FormFlood("a preamble of line breaks", _repeated(b"\r\n", megabytes=40, after=WHOLE), MALFORMED),
    FormFlood("a preamble of text", _repeated(b"\r\nhello", megabytes=40, after=WHOLE), MALFORMED),
    FormFlood("a preamble of hyphens", _repeated(b"\r\n-", megabytes=40, after=WHOLE), MALFORMED),
    FormFlood("an epilogue", _repeated(b"hello\r\n", megabytes=40, before=WHOLE), MALFORMED),
    FormFlood("an epilogue of forms", _repeated(WHOLE, megabytes=40, before=WHOLE), MALFORMED),
    FormFlood("a text field", _repeated(b"a", megabytes=40, before=TINY[:-2]), LARGE_FIELD),
    FormFlood(
        "a text field of 10 GB",
        _repeated(b"a", megabytes=70, before=TINY[:-2]),
        LARGE_FIELD,
        declared_bytes=10 * 10**9,
    ),
    FormFlood(
        "99 text fields of 64 kB",
        lambda: iter([*[text_part("a", "x" * 65536)] * 99, END]),
        LARGE_FIELD,
    ),
]
