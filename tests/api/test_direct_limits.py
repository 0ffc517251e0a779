"""Quotas and upload tokens hold for direct uploads, and Companion's, as for all others."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from media_service.auth.models import User
from media_service.dialects import now_ms
from media_service.tables import File, UploadSession
from tests.support.accounts import make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.direct import complete, put, send, start
from tests.support.problems import assert_problem
from tests.support.sweeping import sweep

CROWD = 100
Headers = dict[str, str]


def begin(server: ApiServer, headers: Headers, size: int, **fields: Any) -> httpx2.Response:
    body = {"filename": "a.txt", "size": size, **fields}
    return server.client.post("/v1/uploads/direct", headers=headers, json=body)


def begun(server: ApiServer, headers: Headers, size: int) -> dict[str, Any]:
    answer = begin(server, headers, size)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def end(server: ApiServer, headers: Headers, upload_id: str) -> httpx2.Response:
    return server.client.post(f"/v1/uploads/direct/{upload_id}/complete", headers=headers)


def usage(server: ApiServer, owner: Owner) -> tuple[int, int, int, int]:
    """Stored bytes and files, reserved bytes and files."""
    shown = server.client.get("/v1/me/usage", headers=owner.headers).json()
    return shown["stored_bytes"], shown["stored_files"], shown["reserved_bytes"], shown["reserved_files"]


def stored(backend: Backend, owner: Owner) -> tuple[int, int]:
    [user] = [user for user in backend.rows(User) if user.id == owner.id]
    return user.stored_bytes, user.stored_files


def test_size_is_reserved_at_the_start_and_settled_with_the_file(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000, quota_files=2)
    upload = start(server, owner, 600)
    assert usage(server, owner) == (0, 0, 600, 1)
    assert_problem(begin(server, owner.headers, 401), 507, "quota-exceeded", available_bytes=400)
    other = start(server, owner, 400)
    assert_problem(begin(server, owner.headers, 0), 507, "quota-exceeded", available_files=0)
    send(upload, b"x" * 600)
    assert complete(server, owner, upload["id"]).status_code == 201
    assert usage(server, owner) == (600, 1, 400, 1)
    assert server.client.delete(f"/v1/uploads/direct/{other['id']}", headers=owner.headers).status_code == 204
    assert usage(server, owner) == (600, 1, 0, 0)


def test_upload_whose_time_is_over_releases_what_it_reserved(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000)
    start(server, owner, 1000)
    assert_problem(begin(server, owner.headers, 1), 507, "quota-exceeded")
    with clean_backend.database.transaction() as session:
        session.execute(update(UploadSession).values(lease_until_ms=now_ms() - 1000))
    sweep(clean_backend, grace=timedelta(hours=1))
    assert usage(server, owner) == (0, 0, 0, 0)
    assert begin(server, owner.headers, 1000).status_code == 201


def test_quota_that_was_lowered_meanwhile_counts_at_the_end(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000)
    upload = start(server, owner, 600)
    send(upload, b"x" * 600)
    with clean_backend.database.transaction() as session:
        session.execute(update(User).where(User.id == owner.id).values(quota_bytes=500))
    assert_problem(complete(server, owner, upload["id"]), 507, "quota-exceeded")
    assert clean_backend.rows(File) == []
    assert clean_backend.keys() == set()
    assert usage(server, owner) == (0, 0, 0, 0)


def test_size_that_nobody_announced_is_reserved_before_it_is_an_object(
    server: ApiServer, clean_backend: Backend
):
    owner = clean_backend.add_owner(quota_bytes=1000)
    base = "/v1/s3/multipart"
    made = server.client.post(base, headers=owner.headers, json={"filename": "a"}).json()
    path, key = f"{base}/{made['uploadId']}", {"key": made["key"]}
    assert usage(server, owner) == (0, 0, 0, 1)
    signed = server.client.get(f"{path}/1", headers=owner.headers, params=key).json()
    etag = put(signed["url"], b"x" * 1001).headers["ETag"]

    def ask_to_complete(etag: str) -> httpx2.Response:
        parts = {"parts": [{"PartNumber": 1, "ETag": etag}]}
        return server.client.post(f"{path}/complete", headers=owner.headers, params=key, json=parts)

    assert_problem(ask_to_complete(etag), 507, "quota-exceeded", available_bytes=1000)
    assert (clean_backend.rows(File), clean_backend.keys()) == ([], set())
    assert usage(server, owner) == (0, 0, 0, 1)
    etag = put(signed["url"], b"x" * 1000).headers["ETag"]
    answer = ask_to_complete(etag)
    assert answer.status_code == 200, answer.text
    assert usage(server, owner) == (1000, 1, 0, 0)


@pytest.mark.parametrize("quota", ["bytes", "files"])
def test_of_a_hundred_starts_at_quota_minus_one_file_exactly_one_wins(
    server: ApiServer, clean_backend: Backend, quota: str
):
    if quota == "files":
        owner = clean_backend.add_owner(quota_files=1)
    else:
        owner = clean_backend.add_owner(quota_bytes=1500)
    together = Barrier(CROWD)

    def upload(_: int) -> object:
        together.wait(30)
        answer = begin(server, owner.headers, 1000)
        if answer.status_code != 201:
            return answer.json()["code"]
        send(answer.json(), b"x" * 1000)
        return complete(server, owner, answer.json()["id"]).status_code

    with ThreadPoolExecutor(CROWD) as pool:
        answers = Counter(pool.map(upload, range(CROWD)))
    assert answers == {201: 1, "quota-exceeded": CROWD - 1}
    assert (stored(clean_backend, owner), len(clean_backend.rows(File))) == ((1000, 1), 1)
    assert clean_backend.rows(UploadSession) == []


def test_upload_token_binds_size_types_number_and_visibility(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    terms = {"max_size": 1000, "content_types": ["text/plain"], "max_files": 1, "visibility": "public"}
    _, token = make_upload_token(server, owner.headers, **terms)
    assert_problem(begin(server, token, 1001), 413, "file-too-large", limit_bytes=1000)
    upload = begun(server, token, 8)
    assert_problem(begin(server, token, 8), 403, "upload-token-exhausted")
    send(upload, b"%PDF-1.7")
    assert_problem(end(server, token, upload["id"]), 415, "unsupported-media-type")
    assert clean_backend.keys() == set()
    upload = begun(server, token, 1000)
    send(upload, b"words " * 166 + b"word")
    done = end(server, token, upload["id"])
    assert done.status_code == 201, done.text
    [file] = clean_backend.rows(File)
    assert (str(file.id), file.owner_id, file.visibility) == (upload["id"], owner.id, "public")
    assert_problem(begin(server, token, 8), 403, "upload-token-exhausted")


def test_upload_token_binds_what_companion_takes_by_address(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    shown, _ = make_upload_token(server, owner.headers, max_size=1000, max_files=1, visibility="public")
    base = f"/v1/companion/{shown['token']}/s3"
    params = server.client.get(f"{base}/params", params={"filename": "a"}).json()

    def post(data: bytes) -> httpx2.Response:
        return httpx2.post(params["url"], data=params["fields"], files={"file": ("a", data)}, timeout=30)

    assert_problem(post(b"x" * 1001), 413, "file-too-large", limit_bytes=1000)
    assert_problem(server.client.get(f"{base}/params"), 403, "upload-token-exhausted")
    assert post(b"x" * 1000).status_code == 201
    [file] = clean_backend.rows(File)
    assert (file.owner_id, file.visibility) == (owner.id, "public")
    assert_problem(server.client.post(f"{base}/multipart", json={}), 403, "upload-token-exhausted")


def test_of_a_hundred_starts_with_a_token_for_one_file_exactly_one_wins(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_files=1)
    together = Barrier(CROWD)

    def upload(_: int) -> object:
        together.wait(30)
        answer = begin(server, token, 4)
        return answer.status_code if answer.status_code == 201 else answer.json()["code"]

    with ThreadPoolExecutor(CROWD) as pool:
        answers = Counter(pool.map(upload, range(CROWD)))
    assert answers == {201: 1, "upload-token-exhausted": CROWD - 1}
    assert len(clean_backend.rows(UploadSession)) == 1


def test_upload_token_reaches_only_what_was_begun_with_it(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_files=2)
    _, other = make_upload_token(server, owner.headers, max_files=2)
    upload, of_owner = begun(server, token, 4), start(server, owner, 4)
    for shown in (upload, of_owner):
        send(shown, b"text")
    path = f"/v1/uploads/direct/{upload['id']}"
    for method, address in [("GET", path), ("GET", f"{path}/parts"), ("DELETE", path)]:
        assert server.client.request(method, address, headers=other).status_code == 404
    assert end(server, other, upload["id"]).status_code == 404
    assert end(server, token, of_owner["id"]).status_code == 404
    assert end(server, token, upload["id"]).status_code == 201
    assert complete(server, owner, of_owner["id"]).status_code == 201
    # Files are told to nobody who only names them; the answer that may have been lost is given again.
    assert end(server, token, upload["id"]).json()["id"] == upload["id"]
    for bearer, file_id in [(other, upload["id"]), (token, of_owner["id"]), (other, of_owner["id"])]:
        assert_problem(end(server, bearer, file_id), 404, "not-found")
    assert len(clean_backend.rows(File)) == 2


def test_upload_of_a_token_that_was_revoked_becomes_no_file(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    shown, token = make_upload_token(server, owner.headers, max_files=1)
    upload = begun(server, token, 4)
    params = server.client.get(f"/v1/companion/{shown['token']}/s3/params")
    assert_problem(params, 403, "upload-token-exhausted")
    send(upload, b"text")
    path = f"/v1/upload-tokens/{shown['id']}"
    assert server.client.delete(path, headers=owner.headers).status_code == 204
    assert_problem(end(server, token, upload["id"]), 401, "invalid-credentials")
    assert clean_backend.rows(File) == []


def test_import_by_url_is_closed_to_upload_tokens(server: ApiServer, owner: Owner):
    _, token = make_upload_token(server, owner.headers)
    answer = server.client.post("/v1/files/import", headers=token, json={"url": "https://example.org/a"})
    assert_problem(answer, 403, "missing-scope")
