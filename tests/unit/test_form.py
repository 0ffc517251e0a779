"""multipart/form-data as events: whatever the chunking, and never anything but events or our error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.uploads.form import (
    Field,
    FileBegin,
    FileData,
    FileEnd,
    read_form,
)
from media_service.uploads.limits import MAX_FIELD_BYTES, MAX_PARTS
from tests.support.forms import BOUNDARY, CONTENT_TYPE, file_part, form, text_part
from tests.support.hostile_forms import ROWS, HostileForm


async def _chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def read(body: bytes, *, chunk_bytes: int = 1 << 20, content_type: str = CONTENT_TYPE) -> list[Any]:
    """All events; the data of a file joined to one."""

    async def collect() -> list[Any]:
        events: list[Any] = []
        async for event in read_form(content_type, _chunks(body, chunk_bytes)):
            if isinstance(event, FileData):
                data = bytes(event.data)
                if events and isinstance(events[-1], bytes):
                    events[-1] += data
                else:
                    events.append(data)
            else:
                events.append(event)
        return events

    return asyncio.run(collect())


BODY = form(text_part("a", "1"), file_part(b"data", filename="x.txt"), text_part("ü", "日本"))
EVENTS = [Field("a", "1"), FileBegin("file", "x.txt"), b"data", FileEnd(), Field("ü", "日本")]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 17, 1000])
def test_events_are_the_same_whatever_the_chunking(chunk_bytes: int):
    assert read(BODY, chunk_bytes=chunk_bytes) == EVENTS


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}",
        f"Multipart/Form-Data;BOUNDARY={BOUNDARY}",
    ],
)
def test_boundary_is_found_in_every_spelling(content_type: str):
    assert read(BODY, content_type=content_type) == EVENTS


def test_preamble_of_a_line_break_and_epilogue_are_passed_over():
    assert read(b"\r\n" + BODY + b"what comes after is not ours") == EVENTS


def test_empty_parts_are_parts():
    assert read(form(text_part("a", ""), file_part(b""))) == [
        Field("a", ""),
        FileBegin("file", "a.bin"),
        FileEnd(),
    ]


@pytest.mark.parametrize(
    "data", [b"\r\n", b"--", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\r\n\r\n--x", b"\x00\xff" * 99]
)
def test_data_that_resembles_a_boundary_is_data(data: bytes):
    for chunk_bytes in (1, 4, 1000):
        assert read(form(file_part(data)), chunk_bytes=chunk_bytes)[1] == data


def test_name_with_an_escaped_quote_is_read_as_browsers_write_it():
    [begin, *_] = read(form(file_part(b"x", filename="a%22b.txt")))
    assert begin.filename == 'a"b.txt'


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (form(*[text_part("a", "")] * (MAX_PARTS + 1)), ErrorKind.INVALID, "too-many-parts"),
        (form(text_part("a", "x" * (MAX_FIELD_BYTES + 1))), ErrorKind.TOO_LARGE, "field-too-large"),
        (BODY[:-4], ErrorKind.INVALID, "malformed-multipart"),
        (b"", ErrorKind.INVALID, "malformed-multipart"),
        (b"--" + b"x" * 100, ErrorKind.INVALID, "malformed-multipart"),
    ],
)
def test_body_over_the_limits_or_broken_is_our_error(body: bytes, kind: ErrorKind, code: str):
    with pytest.raises(MediaServiceError) as caught:
        read(body)
    assert (caught.value.kind, caught.value.code) == (kind, code)


def outcome_of(row: HostileForm, *, chunk_bytes: int) -> Any:
    try:
        return read(row.body, chunk_bytes=chunk_bytes, content_type=row.content_type)
    except MediaServiceError as error:
        return error.code


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_form_reads_the_same_byte_by_byte(row: HostileForm):
    assert outcome_of(row, chunk_bytes=1) == outcome_of(row, chunk_bytes=1 << 20)


def test_endless_field_is_refused_before_it_is_held():
    async def endless() -> AsyncIterator[bytes]:
        yield text_part("a", "")[:-2]
        for _ in range(1000):
            yield b"x" * 10_000
        pytest.fail("the limit was not seen in time")

    async def collect() -> None:
        async for _ in read_form(CONTENT_TYPE, endless()):
            pass

    with pytest.raises(MediaServiceError, match="at most"):
        asyncio.run(collect())


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from([b"", BODY[:60], BODY[:100]]))
def test_garbage_is_events_or_our_error(garbage: bytes, chunk_bytes: int, start: bytes):
    try:
        read(start + garbage, chunk_bytes=chunk_bytes)
    except MediaServiceError as error:
        assert error.kind is ErrorKind.INVALID  # noqa: PT017 - either outcome is right


@given(st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_content_type_is_a_form_or_our_error(content_type: str):
    with pytest.raises(MediaServiceError):
        read(b"not a form", content_type=f"multipart/form-data; boundary={content_type}")


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 64))
def test_files_come_back_byte_exact(files: list[bytes], chunk_bytes: int):
    files = [data for data in files if f"\r\n--{BOUNDARY}".encode() not in data]
    events = read(form(*map(file_part, files)), chunk_bytes=chunk_bytes)
    expected: list[Any] = []
    for data in files:
        expected += [FileBegin("file", "a.bin"), *([data] if data else []), FileEnd()]
    assert events == expected
