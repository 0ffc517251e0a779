"""Uploads that are not taken: the exact answer, and that nothing of them stays."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from media_service.models import utc_now
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.forms import BOUNDARY, CONTENT_TYPE, file_part, form, text_part
from tests.support.problems import assert_problem

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def strict_server(backend: Backend) -> Iterator[ApiServer]:
    """Takes images of a megabyte and nothing else."""
    changes = {"max_file_size": LIMIT, "allowed_types": "image/*,text/plain"}
    with ApiServer(backend.settings, **changes) as server:
        yield server


@pytest.fixture
def strict(strict_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return strict_server


def post_form(server: ApiServer, content: Any, content_type: str = CONTENT_TYPE) -> Any:
    return server.client.post("/v1/files", headers={**ADMIN, "Content-Type": content_type}, content=content)


def post_raw(server: ApiServer, content: Any, **more: Any) -> Any:
    return server.client.post("/v1/files", headers=ADMIN, content=content, **more)


WHOLE = form(text_part("tags", "a"), file_part(b"some data"))

MALFORMED = {
    "no boundary": ("multipart/form-data", WHOLE),
    "an empty boundary": ("multipart/form-data; boundary=", WHOLE),
    "a boundary longer than RFC 2046 allows": (f"multipart/form-data; boundary={'b' * 300}", WHOLE),
    "another boundary": ("multipart/form-data; boundary=other", WHOLE),
    "no closing boundary": (CONTENT_TYPE, WHOLE.removesuffix(f"--{BOUNDARY}--\r\n".encode())),
    "an end in a part's data": (CONTENT_TYPE, WHOLE[: WHOLE.index(b"some data") + 4]),
    "an end in a part's headers": (CONTENT_TYPE, WHOLE[: WHOLE.index(b"filename")]),
    "an empty body": (CONTENT_TYPE, b""),
    "garbage": (CONTENT_TYPE, b"\x00\xff" * 500),
    "JSON": (CONTENT_TYPE, b'{"file": "x"}'),
    "a part without Content-Disposition": (
        CONTENT_TYPE,
        f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
    ),
    "a part without a name": (CONTENT_TYPE, WHOLE.replace(b'name="tags"', b'other="tags"')),
    "a part that is an attachment": (CONTENT_TYPE, WHOLE.replace(b"form-data", b"attachment", 1)),
    "a header without a colon": (
        CONTENT_TYPE,
        f"--{BOUNDARY}\r\nnonsense\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
    ),
    "nine headers in a part": (
        CONTENT_TYPE,
        form(file_part(b"x", headers="".join(f"X-{number}: y\r\n" for number in range(8)))),
    ),
    "a header of 20 kB": (CONTENT_TYPE, form(file_part(b"x", headers=f"X-Long: {'y' * 20_000}\r\n"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_form_is_a_400_that_leaves_nothing(server: ApiServer, clean_backend: Backend, name: str):
    content_type, body = MALFORMED[name]
    assert_problem(post_form(server, body, content_type), 400, "malformed-multipart")
    assert clean_backend.leftovers() == {}


def test_eight_headers_in_a_part_are_taken(server: ApiServer):
    part = file_part(b"x", headers="".join(f"X-{number}: y\r\n" for number in range(7)))
    assert post_form(server, form(part)).status_code == 201


def test_malformed_end_takes_the_files_before_it_along(server: ApiServer, clean_backend: Backend):
    body = form(file_part(b"whole"), file_part(bytes(6_000_000)), file_part(b"cut"))
    assert_problem(post_form(server, body[:-60]), 400, "malformed-multipart")
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("body", [form(), form(text_part("tags", "a")), form(file_part(b"", filename=""))])
def test_form_without_a_file_is_a_400(server: ApiServer, clean_backend: Backend, body: bytes):
    assert_problem(post_form(server, body), 400, "no-file")
    assert clean_backend.leftovers() == {}


def test_part_number_101_is_refused(server: ApiServer, clean_backend: Backend):
    parts = [file_part(b"first"), *(text_part(f"f{number}", "x") for number in range(100))]
    assert_problem(post_form(server, form(*parts)), 400, "too-many-parts", limit=100)
    assert clean_backend.leftovers() == {}


def test_text_field_over_64_kib_is_refused(server: ApiServer, clean_backend: Backend):
    body = form(file_part(b"first"), text_part("note", "x" * (64 * 1024 + 1)))
    assert_problem(post_form(server, body), 413, "field-too-large", limit_bytes=65536, field="note")
    assert clean_backend.leftovers() == {}


def test_text_field_of_64_kib_is_taken(server: ApiServer):
    assert post_form(server, form(file_part(b"x"), text_part("note", "x" * 65536))).status_code == 201


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("visibility", "secret", "/visibility"),
        ("custom", "not json", "/custom"),
        ("custom", "[1, 2]", "/custom"),
        ("custom", "[" * 50_000, "/custom"),
        ("custom", json.dumps({"a": "x" * 20_000}), "/custom"),
        ("tags", "x" * 101, "/tags/0"),
        ("tags", "line\nbreak", "/tags/0"),
        ("sha256", "12ab", "/sha256"),
        ("sha256", "g" * 64, "/sha256"),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_bad_field_is_a_422_that_names_it(
    server: ApiServer, clean_backend: Backend, field: str, value: str, pointer: str, place: str
):
    parts = [file_part(b"data"), text_part(field, value)]
    problem = assert_problem(
        post_form(server, form(*(parts if place == "after" else parts[::-1]))), 422, "invalid-request"
    )
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"visibility": "secret"}, "/query/visibility"),
        ({"custom": "[]"}, "/custom"),
        ({"tags": "x" * 101}, "/tags/0"),
        ({"filename": "x" * 1025}, "/query/filename"),
    ],
)
def test_bad_query_of_a_raw_body_is_a_422(
    server: ApiServer, clean_backend: Backend, query: dict[str, str], pointer: str
):
    problem = assert_problem(post_raw(server, b"data", params=query), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert clean_backend.leftovers() == {}


UNSTORABLE = {
    "a NUL": '{"a": "\\u0000"}',
    "a NUL after a backslash": '{"a": "\\\\\\u0000"}',
    "a NUL in a key": '{"\\u0000": 1}',
    "half of a surrogate pair": '{"a": "\\ud800"}',
    "NaN": '{"a": NaN}',
    "a number beyond all": '{"a": 1e999}',
    "300 levels": '{"a": ' + "[" * 300 + "]" * 300 + "}",
}


@pytest.mark.parametrize("name", UNSTORABLE)
def test_custom_that_no_database_can_hold_is_a_422(server: ApiServer, clean_backend: Backend, name: str):
    custom = UNSTORABLE[name]
    answer = post_form(server, form(text_part("custom", custom), file_part(b"x")))
    assert_problem(answer, 422, "invalid-request")
    assert_problem(post_raw(server, b"x", params={"custom": custom}), 422, "invalid-request")
    assert clean_backend.leftovers() == {}


def test_backslash_before_u0000_is_only_text(server: ApiServer):
    answer = post_form(server, form(text_part("custom", '{"a": "\\\\u0000"}'), file_part(b"x")))
    assert answer.json()["items"][0]["custom"] == {"a": "\\u0000"}


def test_wrong_sha256_of_one_file_fails_all_of_them(server: ApiServer, clean_backend: Backend):
    right = hashlib.sha256(b"one").hexdigest()
    parts = [
        text_part("sha256", right),
        file_part(b"one"),
        text_part("sha256", right),
        file_part(b"two"),
        file_part(b"three"),
    ]
    problem = assert_problem(post_form(server, form(*parts)), 422, "digest-mismatch")
    assert problem["actual_sha256"] == hashlib.sha256(b"two").hexdigest()
    assert clean_backend.leftovers() == {}


def test_file_over_the_limit_is_a_413_from_its_declared_length(strict: ApiServer, clean_backend: Backend):
    assert_problem(post_raw(strict, b"x" * (LIMIT + 1)), 413, "file-too-large", limit_bytes=LIMIT)
    assert clean_backend.leftovers() == {}


def test_chunked_body_over_the_limit_is_a_413(strict: ApiServer, clean_backend: Backend):
    chunks = (b"text " * 2000 for _ in range(200))
    assert_problem(post_raw(strict, chunks), 413, "file-too-large", limit_bytes=LIMIT)
    assert clean_backend.leftovers() == {}


def test_form_with_one_file_over_the_limit_is_a_413(strict: ApiServer, clean_backend: Backend):
    body = form(file_part(b"small text"), file_part(b"x" * (LIMIT + 1)))
    assert_problem(post_form(strict, body), 413, "file-too-large", limit_bytes=LIMIT)
    assert clean_backend.leftovers() == {}


def test_file_of_exactly_the_limit_is_taken(strict: ApiServer):
    assert post_raw(strict, b"x" * LIMIT).status_code == 201
    assert post_form(strict, form(file_part(b"x" * LIMIT), file_part(b"y" * LIMIT))).status_code == 201


@pytest.mark.parametrize("filename", ["photo.jpg", "page.html"])
@pytest.mark.parametrize("is_form", [True, False])
def test_sniffed_type_off_the_list_is_a_415(
    strict: ApiServer, clean_backend: Backend, filename: str, *, is_form: bool
):
    data = b"<!doctype html><html><body><script>alert(1)</script></body></html>"
    if is_form:
        answer = post_form(strict, form(file_part(b"fine"), file_part(data, filename=filename)))
    else:
        answer = post_raw(strict, data, params={"filename": filename})
    assert_problem(
        answer,
        415,
        "unsupported-media-type",
        content_type="text/html",
        allowed_types=["image/*", "text/plain"],
    )
    assert clean_backend.leftovers() == {}


def test_listed_type_is_taken_under_a_name_that_disagrees(strict: ApiServer):
    answer = post_form(strict, form(file_part(images.jpeg(8, 8), filename="page.html")))
    assert answer.json()["items"][0]["content_type"] == "image/jpeg"


BAD_CREDENTIALS = {
    "none": ({}, "missing-credentials"),
    "an unknown key": ({"Authorization": "Bearer msk_00000000_unknown"}, "invalid-credentials"),
    "an unknown key in X-API-Key": ({"X-API-Key": "msk_00000000_unknown"}, "invalid-credentials"),
    "another scheme": ({"Authorization": "Basic dXNlcjpwYXNz"}, "missing-credentials"),
    "an empty bearer": ({"Authorization": "Bearer"}, "missing-credentials"),
}


@pytest.mark.parametrize("name", BAD_CREDENTIALS)
def test_upload_without_valid_credentials_is_a_401(server: ApiServer, clean_backend: Backend, name: str):
    headers, code = BAD_CREDENTIALS[name]
    answer = server.client.post("/v1/files", headers={**headers, "Content-Type": CONTENT_TYPE}, content=WHOLE)
    assert_problem(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert clean_backend.leftovers() == {}


def test_upload_with_an_expired_key_is_a_401(server: ApiServer, clean_backend: Backend):
    expired = clean_backend.add_owner(expires_at=utc_now() - timedelta(seconds=1))
    answer = server.client.post("/v1/files", headers=expired.headers, content=b"x")
    assert_problem(answer, 401, "invalid-credentials")
    assert clean_backend.leftovers() == {}


def test_upload_with_a_revoked_key_is_a_401(server: ApiServer, clean_backend: Backend):
    revoked = clean_backend.add_owner(revoked_at=utc_now())
    answer = server.client.post("/v1/files", headers=revoked.headers, content=b"x")
    assert_problem(answer, 401, "invalid-credentials")


def test_upload_without_the_scope_is_a_403_that_names_it(server: ApiServer, clean_backend: Backend):
    reader = clean_backend.add_owner(scopes=("files:read", "files:delete"))
    answer = server.client.post("/v1/files", headers=reader.headers, content=b"x")
    assert_problem(answer, 403, "missing-scope", scope="files:write")
    assert clean_backend.leftovers() == {}


def test_key_with_a_future_expiry_works(server: ApiServer, clean_backend: Backend):
    owner: Owner = clean_backend.add_owner(expires_at=utc_now() + timedelta(hours=1))
    assert server.client.post("/v1/files", headers={"X-API-Key": owner.key}, content=b"x").status_code == 201


def test_refusal_costs_the_connection_no_more_than_itself(server: ApiServer):
    for _ in range(3):
        assert_problem(post_form(server, b"garbage"), 400, "malformed-multipart")
        assert post_form(server, WHOLE).status_code == 201
