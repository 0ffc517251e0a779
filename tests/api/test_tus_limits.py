"""Quotas and upload tokens hold for resumable uploads as for all others."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from media_service.auth.models import User
from media_service.tables import File, UploadSession
from media_service.uploads.resumable.reservations import MAX_PIECES_PER_FILE
from tests.support.accounts import make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem
from tests.support.tus import PATCH_TYPE, TusClient

MIB = 1024 * 1024
CROWD = 100


def usage(server: ApiServer, owner: Owner) -> tuple[int, int, int, int]:
    """Stored bytes and files, reserved bytes and files."""
    shown = server.client.get("/v1/me/usage", headers=owner.headers).json()
    return shown["stored_bytes"], shown["stored_files"], shown["reserved_bytes"], shown["reserved_files"]


def test_length_is_reserved_at_creation_and_settled_with_the_file(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000, quota_files=2)
    tus = TusClient(server, owner.headers)
    url = tus.created(600)
    assert usage(server, owner) == (0, 0, 600, 1)
    assert_problem(tus.create(401), 403, "quota-exceeded", available_bytes=400)
    other = tus.created(400)
    assert_problem(tus.create(0), 403, "quota-exceeded", available_files=0)
    assert tus.patch(url, 0, b"x" * 600).status_code == 204
    assert usage(server, owner) == (600, 1, 400, 1)
    assert tus.request("DELETE", other, {}).status_code == 204
    assert usage(server, owner) == (600, 1, 0, 0)


def test_length_that_is_said_later_is_reserved_then(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000)
    tus = TusClient(server, owner.headers)
    url = tus.request("POST", "/v1/uploads", {"Upload-Defer-Length": "1"}).headers["Location"]
    assert tus.patch(url, 0, b"x" * 500).status_code == 204
    assert usage(server, owner) == (0, 0, 500, 1)
    assert_problem(tus.patch(url, 500, b"", {"Upload-Length": "1001"}), 403, "quota-exceeded")
    assert_problem(tus.patch(url, 500, b"x" * 501), 403, "quota-exceeded")
    assert tus.offset(url) == 500
    assert tus.patch(url, 500, b"x" * 500, {"Upload-Length": "1000"}).status_code == 204
    assert usage(server, owner) == (1000, 1, 0, 0)


def test_joined_pieces_are_paid_for_once(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000, quota_files=1)
    tus = TusClient(server, owner.headers)
    urls = [tus.created(500, Upload_Concat="partial") for _ in range(2)]
    assert_problem(tus.create(1, Upload_Concat="partial"), 403, "quota-exceeded")
    for url in urls:
        assert tus.patch(url, 0, b"x" * 500).status_code == 204
    assert usage(server, owner) == (0, 0, 1000, 0)
    joined = tus.create(Upload_Concat=f"final;{' '.join(urls)}")
    assert joined.status_code == 201, joined.text
    assert usage(server, owner) == (1000, 1, 0, 0)


@pytest.mark.parametrize("quota", ["bytes", "files"])
def test_of_a_hundred_creations_at_quota_minus_one_file_exactly_one_wins(
    server: ApiServer, clean_backend: Backend, quota: str
):
    if quota == "files":
        owner = clean_backend.add_owner(quota_files=1)
    else:
        owner = clean_backend.add_owner(quota_bytes=1500)
    start = Barrier(CROWD)
    headers = {
        **owner.headers, "Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Content-Type": PATCH_TYPE
    }  # fmt: skip

    def upload(_: int) -> object:
        start.wait(30)
        answer = server.client.post("/v1/uploads", headers=headers, content=b"x" * 1000)
        return answer.status_code if answer.status_code == 201 else answer.json()["code"]

    with ThreadPoolExecutor(CROWD) as pool:
        answers = Counter(pool.map(upload, range(CROWD)))
    assert answers == {201: 1, "quota-exceeded": CROWD - 1}
    [user] = [user for user in clean_backend.rows(User) if user.id == owner.id]
    assert (user.stored_bytes, user.stored_files, len(clean_backend.rows(File))) == (1000, 1, 1)


def test_upload_token_binds_size_types_and_number(server: ApiServer, owner: Owner, clean_backend: Backend):
    terms = {"max_size": 1000, "content_types": ["text/plain"], "max_files": 1, "visibility": "public"}
    _, token = make_upload_token(server, owner.headers, **terms)
    tus = TusClient(server, token)
    assert_problem(tus.create(1001), 413, "file-too-large", limit_bytes=1000)
    url = tus.created(8)
    assert_problem(tus.create(8), 403, "upload-token-exhausted")
    assert_problem(tus.patch(url, 0, b"%PDF-1.7"), 415, "unsupported-media-type")
    url = tus.created(1000)
    done = tus.patch(url, 0, b"words " * 166 + b"word")
    assert done.status_code == 204, done.text
    [file] = clean_backend.rows(File)
    assert (str(file.id), file.owner_id, file.visibility) == (done.headers["X-File-Id"], owner.id, "public")
    assert tus.head(url).headers["X-File-Id"] == str(file.id)
    assert_problem(tus.create(8), 403, "upload-token-exhausted")


def test_upload_token_reaches_only_what_was_begun_with_it(server: ApiServer, owner: Owner):
    _, token = make_upload_token(server, owner.headers, max_files=2)
    _, other = make_upload_token(server, owner.headers, max_files=2)
    url = TusClient(server, token).created(3)
    for stranger in (other, make_upload_token(server, owner.headers)[1]):
        tus = TusClient(server, stranger)
        assert tus.head(url).status_code == 404
        assert tus.patch(url, 0, b"abc").status_code == 404
        assert tus.request("DELETE", url, {}).status_code == 404
    of_owner = TusClient(server, owner.headers).created(3)
    assert TusClient(server, token).patch(of_owner, 0, b"abc").status_code == 404
    assert TusClient(server, owner.headers).patch(url, 0, b"abc").status_code == 204


def test_upload_token_joins_pieces_but_not_any_number(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_files=1)
    tus = TusClient(server, token)
    urls = [tus.created(4, Upload_Concat="partial") for _ in range(MAX_PIECES_PER_FILE)]
    assert_problem(tus.create(4, Upload_Concat="partial"), 403, "too-many-partial-uploads")
    for url in urls[:2]:
        assert tus.patch(url, 0, b"abc ").status_code == 204
    joined = tus.create(Upload_Concat=f"final;{' '.join(urls[:2])}")
    assert joined.status_code == 201, joined.text
    assert [file.size_bytes for file in clean_backend.rows(File)] == [8]
    assert_problem(tus.create(4), 403, "upload-token-exhausted")
    assert len(clean_backend.rows(UploadSession)) == MAX_PIECES_PER_FILE + 1
