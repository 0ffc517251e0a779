"""What is left of a policy within an upload token."""

import pytest

from media_service.auth.scopes import UploadGrant
from media_service.auth.shapes import redacted
from media_service.files.lifecycle import Visibility
from media_service.models import new_id
from media_service.uploads.grants import common_types, granted_visibility, narrowed
from media_service.uploads.policy import UploadPolicy

POLICY = UploadPolicy(1_000, ("image/*", "text/plain"))


def grant(
    max_size_bytes: int | None = None,
    content_types: tuple[str, ...] = (),
    remaining_files: int = 1,
    visibility: Visibility | None = None,
) -> UploadGrant:
    return UploadGrant(new_id(), max_size_bytes, content_types, remaining_files, visibility)


@pytest.mark.parametrize(
    ("allowed", "granted", "common"),
    [
        (["*/*"], ["image/png"], ["image/png"]),
        (["image/png"], ["*/*"], ["image/png"]),
        (["image/*"], ["image/png", "video/mp4"], ["image/png"]),
        (["image/png", "image/jpeg"], ["image/*"], ["image/png", "image/jpeg"]),
        (["image/*", "image/png"], ["image/png"], ["image/png"]),
        (["image/*"], ["video/*"], []),
        (["image/svg+xml"], ["image/svg"], []),
        (["*/*"], ["*/*"], ["*/*"]),
        (["imagery/x"], ["image/*"], []),
    ],
)
def test_types_are_those_that_both_lists_take(allowed: list[str], granted: list[str], common: list[str]):
    assert list(common_types(allowed, granted)) == common


def test_policy_without_a_token_stays_as_it_is():
    assert narrowed(POLICY, None) is POLICY


def test_token_without_bounds_of_its_own_bounds_only_the_number():
    assert narrowed(POLICY, grant()) == UploadPolicy(1_000, ("image/*", "text/plain"), max_files=1)


def test_smaller_size_wins_whosever_it_is():
    assert narrowed(POLICY, grant(max_size_bytes=999)).max_file_size_bytes == 999
    assert narrowed(POLICY, grant(max_size_bytes=1_001)).max_file_size_bytes == 1_000


def test_token_that_is_used_beyond_its_files_has_none_left():
    assert narrowed(POLICY, grant(remaining_files=-1)).max_files == 0


def test_visibility_is_the_tokens_if_it_has_one():
    assert granted_visibility(Visibility.PUBLIC, None) is Visibility.PUBLIC
    assert granted_visibility(Visibility.PUBLIC, grant()) is Visibility.PUBLIC
    forced = grant(visibility=Visibility.PRIVATE)
    assert granted_visibility(Visibility.PUBLIC, forced) is Visibility.PRIVATE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/v1/companion/mut_0a1b2c3d_Sec-ret_/s3/params", "/v1/companion/mut_0a1b2c3d_[redacted]/s3/params"),
        ("a mut_0a1b2c3d_x, a mut_ffffffff_y", "a mut_0a1b2c3d_[redacted], a mut_ffffffff_[redacted]"),
        ("mutations of mut_ files", "mutations of mut_ files"),
    ],
)
def test_text_loses_the_secrets_of_tokens_and_nothing_else(text: str, shown: str):
    assert redacted(text) == shown
