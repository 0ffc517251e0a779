"""What upload headers and form fields say."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import Visibility
from media_service.uploads.fields import FieldCollector, parse_sha256, query_fields
from media_service.uploads.form import Field
from media_service.uploads.headers import (
    announced_sha256,
    declared_length,
    disposition_filename,
    is_form,
    repeats_a_parameter,
)
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.schemas import RawUploadQuery

DIGEST = hashlib.sha256(b"x")
MEMBER = f"sha-256=:{base64.b64encode(DIGEST.digest()).decode()}:"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=x", True),
        ("Multipart/Form-Data", True),
        (" multipart/form-data ;x", True),
        ("multipart/mixed", False),
        ("multipart/form-data-not", False),
        ("", False),
        (None, False),
    ],
)
def test_form_is_told_by_its_type(content_type: str | None, expected: bool):  # noqa: FBT001 - a table's column
    assert is_form(content_type) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [("0", 0), ("17", 17), (None, None), ("", None), ("-1", None), ("1.5", None), ("x", None)],
)
def test_declared_length_is_a_number_or_nothing(header: str | None, expected: int | None):
    assert declared_length(header) == expected


@pytest.mark.parametrize(
    ("repr_digest", "content_digest"),
    [
        (MEMBER, None),
        (None, MEMBER),
        (MEMBER, MEMBER),
        (f"sha-512=:AA==:, {MEMBER}", None),
        (f"{MEMBER},unixsum=:AA==:", None),
        ("sha-512=:AA==:", MEMBER),
    ],
)
def test_digest_is_found_wherever_it_stands(repr_digest: str | None, content_digest: str | None):
    assert announced_sha256(repr_digest, content_digest) == DIGEST.hexdigest()


@pytest.mark.parametrize("header", [None, "", "sha-512=:AA==:", "xsha-256=:AA==:"])
def test_header_without_a_sha256_announces_none(header: str | None):
    assert announced_sha256(header, None) is None


@pytest.mark.parametrize("header", ["sha-256=AA", "sha-256=:AA:", "sha-256", "md5=:AA==:, sha-256=?1"])
def test_sha256_that_cannot_be_read_is_refused(header: str):
    with pytest.raises(MediaServiceError) as caught:
        announced_sha256(header, None)
    assert caught.value.code == "bad-digest-header"


@given(st.text())
def test_any_digest_header_is_a_digest_nothing_or_our_error(header: str):
    for text in (header, f"sha-256=:{header}:"):
        try:
            found = announced_sha256(text)
        except MediaServiceError as error:
            assert error.kind is ErrorKind.INVALID  # noqa: PT017 - either outcome is right
        else:
            assert found is None or len(found) == 64


@given(st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
def test_any_disposition_header_gives_a_name_or_none(header: str):
    for text in (header, f"attachment; filename={header}", f"attachment; filename*=utf-8''{header}"):
        assert disposition_filename(text) is None or isinstance(disposition_filename(text), str)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("attachment; filename=a; filename*=UTF-8''b", "b"),
        ("attachment; filename*=UTF-8''b; filename=a", "b"),
        ("attachment; FileName* = utf-8'de'b%20c", "b c"),
        ("attachment; filename=\"a; filename*=UTF-8''b\"", "a; filename*=UTF-8''b"),
        ('attachment; filename="a\\"; filename*=UTF-8\'\'b"', "a\"; filename*=UTF-8''b"),
        ("attachment; myfilename*=UTF-8''b; filename=a", "a"),
    ],
)
def test_extended_name_is_found_where_it_is_a_parameter(header: str, expected: str):
    assert disposition_filename(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("form-data; name=a; filename=b", False),
        ("form-data; name=a; filename=b; filename*=UTF-8''c", False),
        ('form-data; name="a; name=b"', False),
        ('form-data; name="a\\"; name=b"', False),
        ("form-data; name=a; name=b", True),
        ("form-data; name=a;NAME =a", True),
        ('form-data; name="a"; filename="b" ; filename="c"', True),
    ],
)
def test_parameter_that_stands_twice_is_seen(header: str, expected: bool):  # noqa: FBT001 - a table's column
    assert repeats_a_parameter(header) is expected


@pytest.mark.parametrize("text", ["AB" * 32, f" {'0' * 64} "])
def test_sha256_is_read_in_any_case(text: str):
    assert parse_sha256(text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "\u0660" * 64])
def test_sha256_that_is_none_is_our_error(text: str):
    with pytest.raises(MediaServiceError) as caught:
        parse_sha256(text)
    assert caught.value.members["errors"][0]["pointer"] == "/sha256"


def test_digest_is_good_for_the_next_file_alone():
    fields = FieldCollector()
    fields.add(Field("sha256", DIGEST.hexdigest()))
    assert fields.take_sha256() == DIGEST.hexdigest()
    assert fields.take_sha256() is None


def test_fields_without_any_have_their_defaults():
    found = FieldCollector().file_fields()
    assert (found.visibility, found.tags, found.custom) == (Visibility.PRIVATE, [], {})


def test_field_that_was_left_empty_says_nothing():
    fields = FieldCollector()
    for name in ("visibility", "tags", "custom", "sha256"):
        fields.add(Field(name, ""))
    assert fields.file_fields() == FieldCollector().file_fields()
    assert fields.take_sha256() is None


def test_query_says_the_same_as_a_form():
    fields = FieldCollector()
    for name, value in (("visibility", "public"), ("tags", "a"), ("tags", "b"), ("custom", '{"k": [1]}')):
        fields.add(Field(name, value))
    query = RawUploadQuery(visibility=Visibility.PUBLIC, tags=["a", "b"], custom='{"k": [1]}')
    assert query_fields(query) == fields.file_fields()


@given(st.text(max_size=200))
def test_any_custom_text_is_an_object_or_our_error(text: str):
    try:
        found = query_fields(RawUploadQuery(custom=text)).custom
    except MediaServiceError as error:
        assert error.kind is ErrorKind.UNPROCESSABLE  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(found, dict)


@pytest.mark.parametrize(
    ("allowed", "content_type", "passes"),
    [
        (["*/*"], "application/octet-stream", True),
        (["image/*"], "image/png", True),
        (["image/*"], "video/mp4", False),
        (["image/png", "text/*"], "text/html", True),
        (["image/png"], "image/jpeg", False),
        (["image/*"], "imagex/png", False),
    ],
)
def test_policy_takes_what_its_patterns_name(
    allowed: list[str],
    content_type: str,
    passes: bool,  # noqa: FBT001 - a table's column
):
    policy = UploadPolicy(10, allowed)
    if passes:
        policy.check_type(content_type)
    else:
        with pytest.raises(MediaServiceError) as caught:
            policy.check_type(content_type)
        assert caught.value.kind is ErrorKind.UNSUPPORTED_TYPE


def test_policy_takes_a_file_of_exactly_the_limit():
    UploadPolicy(10, ["*/*"]).check_size(10)
    with pytest.raises(MediaServiceError) as caught:
        UploadPolicy(10, ["*/*"]).check_size(11)
    assert (caught.value.kind, caught.value.members) == (ErrorKind.TOO_LARGE, {"limit_bytes": 10})
