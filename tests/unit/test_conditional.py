"""Conditional requests: the order of RFC 9110 §13.2.2 and the comparison of tags."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.web.conditional import Validators

MODIFIED_AT = datetime(2026, 11, 22, 12, 0, 0, 999_999, tzinfo=UTC)
VALIDATORS = Validators('"abc"', MODIFIED_AT)
SAME, EARLIER, LATER = (
    "Sun, 22 Nov 2026 12:00:00 GMT",
    "Sun, 22 Nov 2026 11:59:59 GMT",
    "Sun, 22 Nov 2026 12:00:01 GMT",
)


def test_last_modified_is_in_whole_seconds_of_gmt():
    assert VALIDATORS.last_modified == SAME
    elsewhere = MODIFIED_AT.astimezone(timezone(timedelta(hours=9)))
    assert Validators('"abc"', elsewhere).last_modified == SAME


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"if-match": '"abc"'},
        {"if-match": '"x", "abc"'},
        {"if-match": "*"},
        {"if-match": '"abc"', "if-unmodified-since": EARLIER},
        {"if-unmodified-since": SAME},
        {"if-unmodified-since": LATER},
        {"if-unmodified-since": "yesterday"},
        {"if-none-match": '"x"'},
        {"if-none-match": '"x"', "if-modified-since": LATER},
        {"if-modified-since": EARLIER},
        {"if-modified-since": ""},
        # RFC 850 and asctime dates are dates of HTTP too (§5.6.7).
        {"if-modified-since": "Sunday, 22-Nov-26 11:59:59 GMT"},
        {"if-modified-since": "Sun Nov 22 11:59:59 2026"},
    ],
)
def test_precondition_that_holds_lets_the_request_pass(headers: dict[str, str]):
    assert VALIDATORS.check(headers) is False


@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": '"abc"'},
        {"if-none-match": 'W/"abc"'},
        {"if-none-match": "*"},
        {"if-none-match": '"a,b","abc"'},
        {"if-none-match": '"abc"', "if-modified-since": EARLIER},
        {"if-modified-since": SAME},
        {"if-modified-since": LATER},
        {"if-modified-since": "Sunday, 22-Nov-26 12:00:00 GMT"},
        {"if-modified-since": "Sun Nov 22 12:00:00 2026"},
        {"if-match": '"abc"', "if-none-match": '"abc"'},
    ],
)
def test_known_state_is_not_modified(headers: dict[str, str]):
    assert VALIDATORS.check(headers) is True


@pytest.mark.parametrize(
    "headers",
    [
        {"if-match": '"x"'},
        {"if-match": 'W/"abc"'},
        {"if-match": "abc"},
        {"if-match": ""},
        {"if-match": '"x"', "if-none-match": '"abc"'},
        {"if-unmodified-since": EARLIER},
        {"if-unmodified-since": EARLIER, "if-none-match": '"abc"'},
    ],
)
def test_precondition_that_fails_is_an_error(headers: dict[str, str]):
    with pytest.raises(MediaServiceError) as caught:
        VALIDATORS.check(headers)
    assert caught.value.kind is ErrorKind.PRECONDITION_FAILED


@pytest.mark.parametrize(
    ("if_range", "allowed"),
    [
        (None, True),
        ('"abc"', True),
        (SAME, True),
        ('W/"abc"', False),
        ('"x"', False),
        ("abc", False),
        ('"abc", "x"', False),
        (EARLIER, False),
        (LATER, False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_if_range_allows_a_part_only_for_the_same_state(if_range: str | None, allowed: bool):  # noqa: FBT001
    assert VALIDATORS.allows_range(if_range) is allowed


NAMES = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text()), st.none() | st.text())
def test_no_header_is_too_odd_to_be_judged(headers: dict[str, str], if_range: str | None):
    try:
        assert VALIDATORS.check(headers) in {True, False}
    except MediaServiceError as error:
        assert error.kind is ErrorKind.PRECONDITION_FAILED  # noqa: PT017 - either outcome is right
    assert VALIDATORS.allows_range(if_range) in {True, False}


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 99 Nov 2026 12:00:00 GMT",
        "Sun, 22 Nov 99999999999 12:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "0",
        "\x00",
    ],
)
def test_date_that_cannot_be_is_ignored(text: str):
    assert VALIDATORS.check({"if-modified-since": text, "if-unmodified-since": text}) is False
    assert VALIDATORS.allows_range(text) is False
