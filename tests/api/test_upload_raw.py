"""`POST /v1/files` with the bytes as the body."""

import base64
import hashlib
from typing import Any

import pytest

from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem

DATA = b"some bytes of a file\n"
SHA256 = hashlib.sha256(DATA)
DIGEST = f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"
OTHER_DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(b'other').digest()).decode()}:"


def post(server: ApiServer, owner: Owner, headers: dict[str, str] | None = None, **request: Any) -> Any:
    request = {"content": DATA, **request}
    return server.client.post("/v1/files", headers={**owner.headers, **(headers or {})}, **request)


def test_body_is_the_file(server: ApiServer, owner: Owner, clean_backend: Backend):
    answer = post(server, owner, {"Content-Type": "image/jpeg"})
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert (file["content_type"], file["size"]) == ("text/plain", len(DATA))
    assert file["sha256"] == SHA256.hexdigest()
    assert answer.headers["Location"] == file["urls"]["self"]
    assert clean_backend.read(f"originals/{file['id']}") == DATA


def test_body_without_a_content_type_is_taken(server: ApiServer, owner: Owner):
    answer = server.client.post("/v1/files", headers=owner.headers, content=images.png_alpha(8, 8))
    assert answer.json()["items"][0]["content_type"] == "image/png"


@pytest.mark.parametrize(
    ("disposition", "query", "name"),
    [
        ('attachment; filename="a b.txt"', {}, "a b.txt"),
        ("attachment; filename=plain.txt", {}, "plain.txt"),
        ("attachment; filename=\"_.jpg\"; filename*=UTF-8''%E7%8C%AB.jpg", {}, "猫.jpg"),
        ("attachment; filename*=utf-8'ja'%E7%8C%AB.jpg; filename=\"x.jpg\"", {}, "猫.jpg"),
        ("inline", {}, "unnamed"),
        (None, {"filename": "日本.png"}, "日本.png"),
        ("attachment; filename=loses.txt", {"filename": "wins.txt"}, "wins.txt"),
        (None, {"filename": "../../up.txt"}, "up.txt"),
        (None, {}, "unnamed"),
    ],
)
def test_name_comes_from_the_query_or_the_disposition(
    server: ApiServer, owner: Owner, disposition: str | None, query: dict[str, str], name: str
):
    headers = {"Content-Disposition": disposition} if disposition else {}
    [file] = post(server, owner, headers, params=query).json()["items"]
    assert file["filename"] == name


def test_query_says_visibility_tags_and_custom(server: ApiServer, owner: Owner):
    query = [("visibility", "public"), ("tags", "a"), ("tags", "b"), ("custom", '{"n": 1}')]
    [file] = post(server, owner, params=query).json()["items"]
    assert (file["visibility"], file["tags"], file["custom"]) == ("public", ["a", "b"], {"n": 1})


def test_chunked_body_without_a_length_is_taken(server: ApiServer, owner: Owner):
    answer = post(server, owner, content=iter([DATA[:5], DATA[5:]]))
    assert answer.json()["items"][0]["sha256"] == SHA256.hexdigest()


def test_empty_body_is_an_empty_file(server: ApiServer, owner: Owner):
    [file] = post(server, owner, content=b"").json()["items"]
    assert (file["size"], file["status"]) == (0, "ready")


@pytest.mark.parametrize("name", ["Repr-Digest", "Content-Digest"])
@pytest.mark.parametrize("value", [DIGEST, f"sha-512=:AAAA:, {DIGEST}", "sha-512=:AAAA:", "md5=:AAAA:"])
def test_right_or_foreign_digest_is_taken(server: ApiServer, owner: Owner, name: str, value: str):
    assert post(server, owner, {name: value}).status_code == 201


@pytest.mark.parametrize("name", ["Repr-Digest", "Content-Digest"])
def test_wrong_digest_is_refused_and_nothing_is_stored(
    server: ApiServer, owner: Owner, clean_backend: Backend, name: str
):
    answer = post(server, owner, {name: OTHER_DIGEST})
    assert_problem(answer, 422, "digest-mismatch", actual_sha256=SHA256.hexdigest())
    assert clean_backend.leftovers() == {}


def test_each_of_two_digest_headers_must_be_right(server: ApiServer, owner: Owner, clean_backend: Backend):
    answer = post(server, owner, {"Repr-Digest": DIGEST, "Content-Digest": OTHER_DIGEST})
    assert_problem(answer, 422, "digest-mismatch")
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("value", ["sha-256=:AAAA:", "sha-256=::", "sha-256=:====:"])
def test_digest_that_is_none_is_refused(server: ApiServer, owner: Owner, clean_backend: Backend, value: str):
    assert_problem(post(server, owner, {"Repr-Digest": value}), 400, "bad-digest-header")
    assert clean_backend.leftovers() == {}


def test_wrong_digest_of_a_large_body_leaves_no_part(server: ApiServer, owner: Owner, clean_backend: Backend):
    answer = post(server, owner, {"Repr-Digest": OTHER_DIGEST}, content=bytes(11 * 1024 * 1024))
    assert_problem(answer, 422, "digest-mismatch")
    assert clean_backend.leftovers() == {}
