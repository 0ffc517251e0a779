"""Hostile requests as the bytes they are: what must be answered, and whether the connection may go on.

`ROWS` is the table. Each request is followed by FOLLOWER in the same breath. Where the connection is not
kept, the follower must not be answered: after a request that two readers could understand in two ways, nobody
knows where the next one begins (request smuggling).
"""

from dataclasses import dataclass

from tests.support.backends import ADMIN_KEY

FOLLOWER = b"GET /livez HTTP/1.1\r\nHost: follower\r\nConnection: close\r\n\r\n"

HOST = b"Host: a\r\n"
KEY = f"Authorization: Bearer {ADMIN_KEY}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"

MALFORMED = (400, "malformed-http")
TOO_LARGE_HEAD = (431, "headers-too-large")
TOO_LONG = (414, "uri-too-long")
NOT_FOUND = (404, "not-found")
WRONG_METHOD = (405, "method-not-allowed")
OK, CREATED = (200, None), (201, None)

Expected = tuple[int, str | None]


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """One row of the table."""

    group: str
    name: str
    raw: bytes
    status: int
    code: str | None
    """Of the problem; None for an answer that is none."""
    is_kept: bool
    """Whether the follower is answered."""


def get(headers: bytes = HOST, *, target: bytes = b"/livez", version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + headers + b"\r\n"


def post(headers: bytes, body: bytes = b"", *, version: bytes = b"1.1") -> bytes:
    """An upload by somebody who may."""
    return b"POST /v1/files HTTP/" + version + b"\r\n" + HOST + KEY + headers + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(CHUNKED, body)


def length(value: bytes, body: bytes = b"x") -> bytes:
    return post(b"Content-Length:" + value + b"\r\n", body)


def other_method(method: bytes, target: bytes = b"/livez") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def to(target: bytes, headers: bytes = HOST) -> bytes:
    return get(headers, target=target)


def listed(query: bytes) -> bytes:
    return to(b"/v1/files?" + query, HOST + KEY)


def _closed(group: str, expected: Expected, *rows: tuple[str, bytes]) -> list[HostileRequest]:
    """Requests after which the connection ends."""
    return [HostileRequest(group, name, raw, *expected, is_kept=False) for name, raw in rows]


def _kept(group: str, *rows: tuple[str, bytes, Expected]) -> list[HostileRequest]:
    """Requests that are whole, whatever they ask for."""
    return [HostileRequest(group, name, raw, *expected, is_kept=True) for name, raw, expected in rows]


ROWS = [
    *_closed(
        "host",
        MALFORMED,
        ("none", get(b"")),
        ("two", get(HOST + b"Host: b\r\n")),
        ("the same twice", get(HOST + HOST)),
        ("a list", get(b"Host: a, b\r\n")),
        ("with a path", get(b"Host: a/b\r\n")),
        ("with a user", get(b"Host: a@b\r\n")),
        ("with markup", get(b"Host: <script>\r\n")),
        ("with a port that is none", get(b"Host: a:b\r\n")),
        ("of bytes that are no ASCII", get(b"Host: \xff\r\n")),
        ("two in HTTP/1.0", get(HOST + HOST, version=b"1.0")),
    ),
    *_kept(
        "host",
        ("empty", get(b"Host:\r\n"), OK),
        ("an address with a port", get(b"Host: [::1]:8000\r\n"), OK),
        ("of another site", get(b"Host: evil.example\r\nX-Forwarded-Host: evil.example\r\n"), OK),
    ),
    *_closed(
        "length",
        MALFORMED,
        ("two that differ", post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"xx")),
        ("two that agree", post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"x")),
        ("a list", length(b" 1, 1")),
        ("negative", length(b" -1")),
        ("with a plus", length(b" +1")),
        ("with a space inside", length(b" 1 1")),
        ("in hex", length(b" 0x1")),
        ("with an underscore", length(b" 1_0")),
        ("with a point", length(b" 1.0")),
        ("with an exponent", length(b" 1e3")),
        ("empty", length(b"")),
        ("of 23 digits", length(b" 99999999999999999999999")),
        ("in Arabic digits", length(b" \xd9\xa1")),
        ("and chunks", post(b"Content-Length: 5\r\n" + CHUNKED, END)),
        ("after chunks", post(CHUNKED + b"Content-Length: 5\r\n", END)),
    ),
    *_closed("length", (413, "file-too-large"), ("of 2^63", length(b" 9223372036854775808"))),
    *_kept(
        "length", ("with zeros", length(b" 0001"), CREATED), ("with spaces around", length(b"  1 "), CREATED)
    ),
    *_closed(
        "coding",
        MALFORMED,
        ("twice", post(CHUNKED + CHUNKED, END)),
        ("identity", post(b"Transfer-Encoding: identity\r\n")),
        ("unknown", post(b"Transfer-Encoding: xchunked\r\n", END)),
        ("gzip in chunks", post(b"Transfer-Encoding: gzip, chunked\r\n", END)),
        ("gzip around chunks", post(b"Transfer-Encoding: chunked, gzip\r\n", END)),
        ("identity around chunks", post(b"Transfer-Encoding: chunked, identity\r\n", END)),
        ("behind a vertical tab", post(b"Transfer-Encoding: \x0bchunked\r\n", END)),
        ("with a parameter", post(b"Transfer-Encoding: chunked;q=1\r\n", END)),
        ("before a spaced colon", post(b"Transfer-Encoding : chunked\r\n", END)),
        ("in HTTP/1.0", post(CHUNKED, END, version=b"1.0")),
    ),
    *_closed(
        "coding",
        (415, "unsupported-content-encoding"),
        ("a gzip bomb", post(b"Content-Encoding: gzip\r\nContent-Length: 1\r\n", b"x")),
        ("two content codings", post(b"Content-Encoding: br, gzip\r\nContent-Length: 1\r\n", b"x")),
        ("an unknown content coding", post(b"Content-Encoding: x\r\nContent-Length: 1\r\n", b"x")),
    ),
    *_kept(
        "coding",
        ("no content coding", post(b"Content-Encoding: identity\r\nContent-Length: 1\r\n", b"x"), CREATED),
        ("in capitals", post(b"TRANSFER-ENCODING: CHUNKED\r\n", END), CREATED),
    ),
    *_closed(
        "chunks",
        MALFORMED,
        ("of 17 digits", chunked(b"fffffffffffffffff\r\nx\r\n" + END)),
        ("of no digits", chunked(b"zz\r\nx\r\n" + END)),
        ("of negative size", chunked(b"-1\r\nx\r\n" + END)),
        ("of a size with 0x", chunked(b"0x1\r\nx\r\n" + END)),
        ("of a size with a space", chunked(b"1 \r\nx\r\n" + END)),
        ("with a bare line feed", chunked(b"1\nx\r\n" + END)),
        ("with a line feed in an extension", chunked(b"1;a\nb\r\nx\r\n" + END)),
        ("longer than they say", chunked(b"1\r\nxy\r\n" + END)),
        ("with a length in the trailers", chunked(b"0\r\nContent-Length: 9\r\n\r\n")),
        ("with a broken trailer", chunked(b"0\r\nnonsense\r\n\r\n")),
    ),
    *_closed(
        "chunks",
        TOO_LARGE_HEAD,
        ("with an extension of 600 kB", chunked(b"1;a=" + b"b" * 600_000 + b"\r\nx\r\n" + END)),
        ("with 100,000 trailers", chunked(b"1\r\nx\r\n0\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n")),
    ),
    *_closed(
        "chunks",
        (401, "missing-credentials"),
        (
            "with credentials in the trailers",
            b"POST /v1/files HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n0\r\n" + KEY + b"\r\n",
        ),
    ),
    *_kept(
        "chunks",
        ("with an extension", chunked(b'1;a="b"\r\nx\r\n' + END), CREATED),
        ("with a trailer", chunked(b"1\r\nx\r\n0\r\nX-A: b\r\n\r\n"), CREATED),
    ),
    *_closed(
        "lines",
        MALFORMED,
        ("that end in line feeds", b"GET /livez HTTP/1.1\nHost: a\n\n"),
        ("of which one ends in a line feed", get(b"X-A: b\n" + HOST)),
        ("with a carriage return inside", get(b"Host: a\rX-A: b\r\n")),
        ("folded", get(HOST + b"X-A: a\r\n b\r\n")),
        ("of which the first is folded", get(b" Host: a\r\n")),
        ("with a space before the colon", get(b"Host : a\r\n")),
        ("without a colon", get(HOST + b"nonsense\r\n")),
        ("without a name", get(HOST + b": a\r\n")),
        ("with brackets in a name", get(HOST + b"X(A): a\r\n")),
        ("with NUL in a value", get(HOST + b"X-A: a\0b\r\n")),
        ("with NUL in a name", get(HOST + b"X\0A: b\r\n")),
    ),
    *_kept(
        "lines",
        ("with two spaces after the method", other_method(b"GET "), OK),
        ("of bytes that are no UTF-8", get(HOST + b"X-Request-ID: \xff\xfe\r\n"), OK),
    ),
    *_closed(
        "heads",
        TOO_LARGE_HEAD,
        ("with a header of 200 kB", get(HOST + b"X-A: " + b"b" * 200_000 + b"\r\n")),
        ("with 20,000 headers", get(HOST + b"X-A: b\r\n" * 20_000)),
        ("with 101 headers", get(HOST + b"X-A: b\r\n" * 100)),
        ("with 100,000 ranges", get(HOST + b"Range: bytes=" + b"0-0," * 100_000 + b"\r\n")),
    ),
    *_closed("heads", TOO_LONG, ("with an address of 20 kB", to(b"/livez?" + b"x" * 20_000))),
    *_closed(
        "targets",
        MALFORMED,
        ("without a slash", to(b"livez")),
        ("with a backslash", to(b"\\livez")),
        ("with NUL", to(b"/a\0b")),
        ("with a space", to(b"/a b")),
        ("with raw UTF-8", to("/é".encode())),
        ("with a fragment", to(b"/livez#/v1")),
        ("without a path", to(b"http://evil.example")),
        ("with two users", to(b"http://a@b@c/")),
        ("with a port beyond all", to(b"http://a:99999/")),
    ),
    *_kept(
        "targets",
        ("of another site", to(b"http://evil.example/livez"), OK),
        ("that is an asterisk", to(b"*"), NOT_FOUND),
        ("with two slashes", to(b"//livez"), NOT_FOUND),
        ("with escaped NUL", to(b"/a%00b"), NOT_FOUND),
        ("with dot segments", to(b"/problems/../livez"), NOT_FOUND),
        ("with escaped dot segments", to(b"/problems/%2e%2e/livez"), NOT_FOUND),
        ("with escaped slashes", to(b"/problems/..%2f..%2fetc%2fpasswd"), NOT_FOUND),
        ("with escapes that are no UTF-8", to(b"/problems/%ff%fe"), NOT_FOUND),
        ("with escapes that are none", to(b"/%zz%"), NOT_FOUND),
        ("with an id that is NUL", to(b"/v1/files/%00", HOST + KEY), (422, "invalid-request")),
        ("that look for NUL", listed(b"q=%00"), OK),
        ("that look for a tag with NUL", listed(b"tag=a%00"), (422, "invalid-request")),
        ("that look for a surrogate", listed(b"tag=%ed%a0%80"), OK),
        ("with a cursor of NUL", listed(b"cursor=%00"), (400, "bad-cursor")),
    ),
    *_closed(
        "methods",
        MALFORMED,
        ("unknown", other_method(b"BREW")),
        ("in small letters", other_method(b"get")),
        ("of 10 kB", other_method(b"X" * 10_000)),
        ("CONNECT to a host", other_method(b"CONNECT", b"evil.example:443")),
        ("CONNECT to a path", other_method(b"CONNECT")),
    ),
    *_kept(
        "methods",
        ("TRACE", other_method(b"TRACE"), WRONG_METHOD),
        ("PROPFIND", other_method(b"PROPFIND"), WRONG_METHOD),
        ("OPTIONS of everything", other_method(b"OPTIONS", b"*"), NOT_FOUND),
        (
            "that is overridden",
            post(b"X-HTTP-Method-Override: DELETE\r\nContent-Length: 1\r\n", b"x"),
            CREATED,
        ),
    ),
    *_closed(
        "other protocols",
        MALFORMED,
        ("HTTP/0.9", b"GET /livez\r\n\r\n"),
        ("HTTP/1.2", get(version=b"1.2")),
        ("HTTP/2.0", get(version=b"2.0")),
        ("HTTP/9.9", get(version=b"9.9")),
        ("HTTP/1.1x", get(version=b"1.1x")),
        ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("SMTP", b"HELO a\r\nMAIL FROM:<b>\r\n"),
        ("zeros", bytes(1000)),
    ),
    *_kept(
        "other protocols",
        ("an upgrade to HTTP/2", get(HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), OK),
        ("an upgrade to a web socket", get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), OK),
        (
            "an upgrade with a body",
            post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n", b"x"),
            CREATED,
        ),
    ),
]

SILENCES: list[tuple[str, bytes, Expected]] = [
    ("in the first line", b"GET /livez", (408, "header-timeout")),
    ("after HTTP/0.9", b"GET /livez\r\n", (408, "header-timeout")),
    ("in a header", b"GET /livez HTTP/1.1\r\nHost: ", (408, "header-timeout")),
    ("after 100 Continue", post(b"Expect: 100-continue\r\nContent-Length: 9\r\n"), (408, "body-timeout")),
    ("in a chunk", chunked(b"9\r\nx"), (408, "body-timeout")),
    ("in a chunk of 2^63", chunked(b"8000000000000000\r\nx\r\n" + END), (408, "body-timeout")),
    ("in the size of a chunk", chunked(b"0"), (408, "body-timeout")),
    ("in an extension", chunked(b"1;a=b"), (408, "body-timeout")),
    ("in the trailers", chunked(b"1\r\nx\r\n0\r\nX-A:"), (408, "body-timeout")),
]
"""Requests that stop, and what they are told in the end."""

JUNK: list[tuple[str, dict[str, str], int]] = [
    ("5,000 ranges", {"Range": "bytes=" + "0-0," * 5000}, 200),
    ("overlapping ranges", {"Range": "bytes=0-,0-,0-,0-"}, 200),
    ("a range of 4,000 digits", {"Range": "bytes=" + "9" * 4000 + "-"}, 200),
    ("a range of 19 digits", {"Range": "bytes=" + "9" * 19 + "-"}, 416),
    ("a range in Arabic digits", {"Range": "bytes=\u0661-"}, 200),
    ("a negative range", {"Range": "bytes=--1"}, 200),
    ("a range in another unit", {"Range": "seconds=0-1"}, 200),
    ("If-Range of nothing", {"Range": "bytes=0-0", "If-Range": ""}, 200),
    ("If-Range of a quote", {"Range": "bytes=0-0", "If-Range": '"'}, 200),
    (
        "If-Range of a year beyond all",
        {"Range": "bytes=0-0", "If-Range": "Mon, 01 Jan 99999 00:00:00 GMT"},
        200,
    ),
    ("If-Match of a quote", {"If-Match": '"'}, 412),
    ("If-Match of 8,000 tags", {"If-Match": '"a",' * 8000}, 412),
    ("If-Match of quotes", {"If-Match": '"' * 30_000}, 412),
    ("If-None-Match of junk", {"If-None-Match": "W/,,W/*"}, 200),
    ("If-Modified-Since of junk", {"If-Modified-Since": "yesterday"}, 200),
    ("If-Modified-Since of digits", {"If-Modified-Since": "9" * 30_000}, 200),
    ("If-Modified-Since of a zone beyond all", {"If-Modified-Since": "Mon, 01 Jan 0001 00:00:00 +9999"}, 200),
    ("If-Unmodified-Since of junk", {"If-Unmodified-Since": "Mon, 99 Foo 2024 99:99:99 GMT"}, 200),
]
"""Headers of a download that say nothing that can be used, and the status all the same."""
