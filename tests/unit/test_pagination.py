"""Cursors: opaque, and nothing that a stranger writes becomes more than a bad request."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.pagination import MAX_CURSOR_CHARACTERS, Cursor, decode_cursor, encode_cursor

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=255)


@given(st.uuids(), st.none() | NAMES | st.integers(0, 2**63 - 1))
def test_cursor_leads_back_to_its_place(row_id: UUID, value: str | int | None):
    cursor = encode_cursor(Cursor(row_id, value))
    assert decode_cursor(cursor) == Cursor(row_id, value)
    assert cursor.isascii()
    assert "=" not in cursor
    assert len(cursor) <= MAX_CURSOR_CHARACTERS


@given(st.text())
def test_any_cursor_is_a_place_or_our_error(cursor: str):
    try:
        found = decode_cursor(cursor)
    except MediaServiceError as error:
        assert (error.kind, error.code) == (ErrorKind.INVALID, "bad-cursor")  # noqa: PT017 - either is right
    else:
        assert isinstance(found, Cursor)


def test_no_cursor_is_the_start():
    assert decode_cursor(None) is None
