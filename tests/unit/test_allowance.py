"""What is left of a quota, as numbers."""

import pytest

from media_service.auth.scopes import Account
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.quotas.allowance import Allowance
from media_service.uploads.form import closing_size
from media_service.uploads.limits import (
    MAX_ENVELOPE_BYTES,
    MAX_FIELDS_BYTES,
    MAX_OUTSIDE_BYTES,
    MAX_PART_HEADER_BYTES,
    MAX_PART_HEADERS,
    MAX_PARTS,
)
from tests.support.forms import BOUNDARY, CONTENT_TYPE, form


def refusal(allowance: Allowance, *, size_bytes: int, files: int) -> MediaServiceError:
    with pytest.raises(MediaServiceError) as caught:
        allowance.check(size_bytes=size_bytes, files=files)
    return caught.value


def test_whoever_has_no_quota_may_store_anything():
    allowance = Allowance.of_account(Account(stored_bytes=10**15, stored_files=10**9))
    allowance.check(size_bytes=10**15, files=10**6)
    assert allowance.at_most(10**15) == 10**15


def test_what_is_stored_and_reserved_is_not_free():
    allowance = Allowance.of_figures((100, 10, 30, 2), reserved=(20, 3))
    assert (allowance.free_bytes, allowance.free_files) == (50, 5)
    allowance.check(size_bytes=50, files=5)
    for size_bytes, files in ((51, 1), (1, 6)):
        error = refusal(allowance, size_bytes=size_bytes, files=files)
        assert (error.kind, error.code) == (ErrorKind.QUOTA_EXCEEDED, "quota-exceeded")
        assert error.members == {
            "limit_bytes": 100, "limit_files": 10, "available_bytes": 50, "available_files": 5
        }  # fmt: skip


def test_each_quota_stands_alone():
    by_bytes = Allowance.of_figures((100, None, 0, 10**6), reserved=(0, 10**6))
    by_bytes.check(size_bytes=100, files=10**6)
    assert refusal(by_bytes, size_bytes=101, files=1).members["available_files"] is None
    by_files = Allowance.of_figures((None, 1, 10**15, 0), reserved=(0, 0))
    by_files.check(size_bytes=10**15, files=1)
    assert refusal(by_files, size_bytes=0, files=2).members["limit_bytes"] is None


def test_quota_below_what_is_stored_refuses_even_an_empty_file_and_shows_no_negative_number():
    allowance = Allowance.of_figures((10, None, 30, 1), reserved=(0, 0))
    assert refusal(allowance, size_bytes=0, files=1).members["available_bytes"] == 0
    assert allowance.at_most(5) == 0


def test_quota_of_no_bytes_lets_an_empty_file_in_and_a_quota_of_no_files_does_not():
    Allowance.of_figures((0, None, 0, 0), reserved=(0, 0)).check(size_bytes=0, files=1)
    refusal(Allowance.of_figures((None, 0, 0, 0), reserved=(0, 0)), size_bytes=0, files=1)


def test_envelope_of_a_form_is_bounded_by_what_the_other_bounds_allow():
    part = MAX_PART_HEADERS * MAX_PART_HEADER_BYTES + 1024
    assert MAX_FIELDS_BYTES + 2 * MAX_OUTSIDE_BYTES + MAX_PARTS * part <= MAX_ENVELOPE_BYTES


def test_end_of_a_form_is_as_long_as_its_boundary_says():
    assert closing_size(CONTENT_TYPE) == len("\r\n") + len(form()) == len(BOUNDARY) + 8
