"""Tokens that a browser may hold: what they are good for, and that this is all."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import delete

from media_service.auth.models import UploadToken
from media_service.models import new_id
from media_service.tables import File, IdempotencyKey, UploadSession
from media_service.uploads.queries import insert_session
from tests.support import images
from tests.support.accounts import make_key, make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.forms import CONTENT_TYPE, file_part, form, text_part
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection
from tests.support.tus import TusClient

JPEG, PNG = images.jpeg(8, 8), images.png_alpha(8, 8)
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
SHOWN_TERMS = ("max_size", "content_types", "max_files", "visibility")


def post(server: ApiServer, headers: dict[str, str], data: Any = JPEG, **query: str) -> httpx2.Response:
    return server.client.post("/v1/files", headers=headers, content=data, params=query)


def post_form(server: ApiServer, headers: dict[str, str], *parts: bytes) -> httpx2.Response:
    return server.client.post(
        "/v1/files", headers={**headers, "Content-Type": CONTENT_TYPE}, content=form(*parts)
    )


def used_files(backend: Backend) -> list[int]:
    return [row.used_files for row in backend.rows(UploadToken)]


def begin(connection: RawConnection, headers: dict[str, str], *, length_bytes: int) -> bytes:
    """Send the head of an upload; the answer is "100 Continue" once its token was looked at."""
    head = {**headers, "Content-Type": "image/jpeg", "Content-Length": str(length_bytes)}
    connection.send_head("POST", "/v1/files", {**head, "Expect": "100-continue"})
    return connection.receive_head()


def finish(connection: RawConnection, data: bytes) -> tuple[int, bytes]:
    connection.send(data)
    answer = connection.answer()
    return answer.status, answer.read()


def test_secret_is_shown_once_and_stored_hashed(server: ApiServer, owner: Owner, clean_backend: Backend):
    answer = server.client.post("/v1/upload-tokens", headers=owner.headers, json={"max_size": 5_000})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    shown = answer.json()
    assert shown["token"].startswith(f"mut_{shown['prefix']}_")
    assert [shown[name] for name in SHOWN_TERMS] == [5_000, ["*/*"], 1, "private"]
    listed = server.client.get("/v1/upload-tokens", headers=owner.headers)
    assert listed.headers["Cache-Control"] == "no-store"
    assert listed.json()["items"] == [{name: shown[name] for name in shown if name != "token"}]
    [row] = clean_backend.rows(UploadToken)
    assert shown["token"] not in repr(vars(row))


def test_token_lives_for_an_hour_unless_it_says_otherwise(server: ApiServer, owner: Owner):
    for terms, lifetime in (({}, timedelta(hours=1)), ({"expires_in": 60}, timedelta(minutes=1))):
        shown, _ = make_upload_token(server, owner.headers, **terms)
        left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
        assert lifetime - timedelta(seconds=30) < left <= lifetime


def test_key_with_files_write_alone_makes_tokens_and_one_without_makes_none(
    server: ApiServer, clean_backend: Backend
):
    writer = clean_backend.add_owner(scopes=("files:write",))
    _, token = make_upload_token(server, writer.headers)
    assert post(server, token).status_code == 201
    others = clean_backend.add_owner(scopes=("files:read", "files:delete", "keys", "jobs:write"))
    answer = server.client.post("/v1/upload-tokens", headers=others.headers, json={})
    assert_problem(answer, 403, "missing-scope", scope="files:write")


def test_token_makes_no_other_token(server: ApiServer, owner: Owner, clean_backend: Backend):
    _, token = make_upload_token(server, owner.headers, max_files=10)
    assert_problem(server.client.post("/v1/upload-tokens", headers=token, json={}), 403, "missing-scope")
    assert_problem(
        server.client.post("/v1/api-keys", headers=token, json={"name": "x", "scopes": ["files:write"]}),
        403,
        "missing-scope",
    )
    assert len(clean_backend.rows(UploadToken)) == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"max_size": 0}, "max_size"),
        ({"max_size": 10**13}, "max_size"),
        ({"max_size": 2**70}, "max_size"),
        ({"content_types": []}, "content_types"),
        ({"content_types": ["image"]}, "content_types/0"),
        ({"content_types": ["image/*", "*/png"]}, "content_types/1"),
        ({"content_types": ["image/p*"]}, "content_types/0"),
        ({"content_types": ["image/png\n"]}, "content_types/0"),
        ({"content_types": ["image/png"] * 51}, "content_types"),
        ({"max_files": 0}, "max_files"),
        ({"max_files": 10_001}, "max_files"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 604_801}, "expires_in"),
        ({"expires_in": None}, "expires_in"),
        ({"visibility": "secret"}, "visibility"),
        ({"owner_id": "019abc12-3456-7def-8123-456789abcdef"}, "owner_id"),
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_a_422_that_names_them(
    server: ApiServer, owner: Owner, clean_backend: Backend, terms: dict[str, Any], field: str
):
    answer = server.client.post("/v1/upload-tokens", headers=owner.headers, json=terms)
    problem = assert_problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [f"/body/{field}"]
    assert clean_backend.rows(UploadToken) == []


def test_patterns_are_kept_once_and_in_lower_case(server: ApiServer, owner: Owner):
    shown, _ = make_upload_token(server, owner.headers, content_types=["Image/PNG", "image/png", "*/*"])
    assert shown["content_types"] == ["image/png", "*/*"]


@pytest.fixture(scope="module")
def strict_server(backend: Backend) -> Iterator[ApiServer]:
    """Takes images and text of ten kilobytes and nothing else."""
    changes = {"max_file_size": 10_000, "allowed_types": "image/*,text/plain"}
    with ApiServer(backend.settings, **changes) as server:
        yield server


@pytest.mark.parametrize(
    "terms", [{"max_size": 10_001}, {"content_types": ["video/*", "text/html"]}], ids=str
)
def test_terms_beyond_the_services_own_limits_are_a_422(
    strict_server: ApiServer, clean_backend: Backend, terms: dict[str, Any]
):
    owner = clean_backend.add_owner()
    answer = strict_server.client.post("/v1/upload-tokens", headers=owner.headers, json=terms)
    problem = assert_problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [f"/body/{next(iter(terms))}"]


def test_wide_token_widens_no_limit_of_the_service(
    strict_server: ApiServer, server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_size=1_000_000, max_files=9)
    assert_problem(post(strict_server, token, b"x" * 10_001), 413, "file-too-large", limit_bytes=10_000)
    html = b"<!doctype html><html><body></body></html>"
    allowed = ["image/*", "text/plain"]
    assert_problem(post(strict_server, token, html), 415, "unsupported-media-type", allowed_types=allowed)
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_token_uploads_a_file_of_its_owners_and_is_shown_it(server: ApiServer, owner: Owner, header: str):
    shown, _ = make_upload_token(server, owner.headers)
    value = f"Bearer {shown['token']}" if header == "Authorization" else shown["token"]
    answer = post(server, {header: value}, filename="a.jpg", tags="t")
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert (file["filename"], file["tags"], file["visibility"]) == ("a.jpg", ["t"], "private")
    assert answer.headers["Location"].endswith(file["id"])
    assert server.client.get(f"/v1/files/{file['id']}", headers=owner.headers).status_code == 200


def test_token_reads_nothing_not_even_what_it_made(server: ApiServer, owner: Owner):
    _, token = make_upload_token(server, owner.headers, max_files=5, visibility="public")
    [file] = post(server, token).json()["items"]
    path = f"/v1/files/{file['id']}"
    for url in ("/v1/files", path, f"{path}/content", f"{path}/download", f"{path}/url"):
        assert_problem(server.client.get(url, headers=token), 403, "missing-scope")
    assert server.client.get(f"{path}/content").status_code == 200  # as anybody may


@pytest.mark.parametrize(("forced", "wanted"), [("private", "public"), ("public", "private")])
def test_visibility_of_the_token_goes_before_that_of_the_upload(
    server: ApiServer, owner: Owner, forced: str, wanted: str
):
    _, token = make_upload_token(server, owner.headers, visibility=forced, max_files=2)
    raw = post(server, token, visibility=wanted)
    formed = post_form(server, token, file_part(JPEG), text_part("visibility", wanted))
    assert [answer.json()["items"][0]["visibility"] for answer in (raw, formed)] == [forced, forced]


def test_token_publishes_nothing_unless_it_was_made_to(server: ApiServer, owner: Owner):
    for terms, visibility in (({}, "private"), ({"visibility": None}, "public")):
        _, token = make_upload_token(server, owner.headers, **terms)
        answer = post(server, token, visibility="public")
        assert answer.json()["items"][0]["visibility"] == visibility


def test_file_over_the_tokens_size_is_refused_before_a_byte_of_it_is_read(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_size=1_000)
    with RawConnection(server.port) as connection:
        assert b" 413 " in begin(connection, token, length_bytes=1_001).splitlines()[0]
    assert used_files(clean_backend) == [0]
    assert post(server, token, b"x" * 1_000).status_code == 201


@pytest.mark.parametrize("is_form", [True, False])
def test_file_without_a_length_is_refused_where_it_crosses_the_tokens_size(
    server: ApiServer, owner: Owner, clean_backend: Backend, *, is_form: bool
):
    _, token = make_upload_token(server, owner.headers, max_size=1_000, max_files=9)
    if is_form:
        answer = post_form(server, token, file_part(JPEG), file_part(b"x" * 1_001))
    else:
        answer = post(server, token, (b"x" * 500 for _ in range(3)))
    assert_problem(answer, 413, "file-too-large", limit_bytes=1_000)
    assert (used_files(clean_backend), clean_backend.leftovers()) == ([0], {})


@pytest.mark.parametrize("is_form", [True, False])
def test_sniffed_type_off_the_tokens_list_is_a_415(
    server: ApiServer, owner: Owner, clean_backend: Backend, *, is_form: bool
):
    _, token = make_upload_token(server, owner.headers, content_types=["image/png", "audio/*"], max_files=2)
    if is_form:
        answer = post_form(server, token, file_part(PNG), file_part(JPEG, filename="a.png"))
    else:
        answer = post(server, {**token, "Content-Type": "image/png"}, JPEG, filename="a.png")
    assert_problem(
        answer,
        415,
        "unsupported-media-type",
        content_type="image/jpeg",
        allowed_types=["image/png", "audio/*"],
    )
    assert (used_files(clean_backend), clean_backend.leftovers()) == ([0], {})
    assert post(server, token, PNG).status_code == 201


def test_files_of_all_uploads_count_and_a_token_used_up_is_a_403(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_files=3)
    assert post_form(server, token, file_part(b"a"), file_part(b"b")).status_code == 201
    two = post_form(server, token, file_part(b"c"), file_part(b"d"))
    assert_problem(two, 403, "upload-token-exhausted", remaining_files=1)
    assert used_files(clean_backend) == [2]
    assert post_form(server, token, file_part(b"c")).status_code == 201
    for answer in (post(server, token), post_form(server, token, file_part(b"d"))):
        assert_problem(answer, 403, "upload-token-exhausted", remaining_files=0)
    assert used_files(clean_backend) == [3]
    assert len(clean_backend.rows(File)) == len(clean_backend.keys()) == 3


def test_token_used_up_is_refused_before_a_byte_is_read(server: ApiServer, owner: Owner):
    _, token = make_upload_token(server, owner.headers)
    assert post(server, token).status_code == 201
    with RawConnection(server.port) as connection:
        assert b" 403 " in begin(connection, token, length_bytes=10_000_000).splitlines()[0]


def test_surplus_file_of_a_form_is_refused_when_it_begins(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers)
    begun = file_part(b"first") + file_part(b"").removesuffix(b"\r\n")
    head = {**token, "Content-Type": CONTENT_TYPE, "Content-Length": "5000000"}
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", head)
        connection.send(begun)
        answer = connection.answer()  # the rest was never sent
        assert (answer.status, b"upload-token-exhausted" in answer.read()) == (403, True)
    assert (used_files(clean_backend), clean_backend.leftovers()) == ([0], {})


def test_file_input_that_was_left_empty_is_no_file(server: ApiServer, owner: Owner, clean_backend: Backend):
    _, token = make_upload_token(server, owner.headers)
    empty = file_part(b"", filename="")
    assert post_form(server, token, empty, file_part(b"one"), empty).status_code == 201
    assert used_files(clean_backend) == [1]


def test_nameless_file_with_bytes_is_one(server: ApiServer, owner: Owner, clean_backend: Backend):
    _, token = make_upload_token(server, owner.headers)
    answer = post_form(server, token, file_part(b"one"), file_part(b"two", filename=""))
    assert_problem(answer, 403, "upload-token-exhausted")
    assert clean_backend.leftovers() == {}


def test_of_100_uploads_at_once_with_a_token_for_one_file_exactly_one_wins(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers)
    with ExitStack() as stack:
        connections = [stack.enter_context(RawConnection(server.port)) for _ in range(100)]
        for connection in connections:
            # Let in before the first of them ends: only the commit is left to tell them apart.
            assert b" 100 " in begin(connection, token, length_bytes=len(JPEG)).splitlines()[0]
        with ThreadPoolExecutor(len(connections)) as pool:
            answers = list(pool.map(lambda connection: finish(connection, JPEG), connections))
    assert sorted(status for status, _ in answers) == [201] + [403] * 99
    assert all(b"upload-token-exhausted" in body for status, body in answers if status == 403)
    assert used_files(clean_backend) == [1]
    assert len(clean_backend.rows(File)) == len(clean_backend.keys()) == 1
    assert clean_backend.are_gone(UploadSession)


def test_upload_on_its_way_makes_no_file_once_its_token_is_revoked(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    shown, token = make_upload_token(server, owner.headers)
    with RawConnection(server.port) as connection:
        begin(connection, token, length_bytes=len(JPEG))
        revoked = server.client.delete(f"/v1/upload-tokens/{shown['id']}", headers=owner.headers)
        assert revoked.status_code == 204
        status, body = finish(connection, JPEG)
    assert (status, b"invalid-credentials" in body) == (401, True)
    assert clean_backend.leftovers() == {}


def test_upload_that_began_in_time_may_end_after_the_tokens_expiry(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers, max_files=2)
    with RawConnection(server.port) as connection:
        begin(connection, token, length_bytes=len(JPEG))
        with clean_backend.database.transaction() as session:
            [row] = session.query(UploadToken).all()
            row.expires_at = datetime.now(UTC)
        assert finish(connection, JPEG)[0] == 201
    assert_problem(post(server, token), 401, "invalid-credentials")


def test_live_upload_of_several_requests_counts_as_a_used_file(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    shown, token = make_upload_token(server, owner.headers, max_files=2)
    claim = insert_session(new_id(), owner_id=owner.id, protocol="tus", lease=timedelta(hours=1))
    with clean_backend.database.transaction() as session:
        session.execute(claim)
        [row] = session.query(UploadSession).all()
        row.upload_token_id = UUID(shown["id"])
    assert post(server, token).status_code == 201
    assert_problem(post(server, token), 403, "upload-token-exhausted", remaining_files=0)
    with clean_backend.database.transaction() as session:
        session.execute(delete(UploadSession))
    assert post(server, token).status_code == 201


def test_repeated_upload_is_answered_as_the_first_by_a_token_that_it_used_up(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers)
    first, again = (post(server, {**token, **KEY}) for _ in range(2))
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert used_files(clean_backend) == [1]
    assert_problem(post(server, {**token, **KEY}, b"other"), 422, "idempotency-key-reused")


def test_no_credential_learns_by_a_key_what_another_one_made_with_a_token(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    _, token = make_upload_token(server, owner.headers)
    _, other = make_upload_token(server, owner.headers)
    answers = [post(server, {**headers, **KEY}) for headers in (owner.headers, token, other)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert not any("Idempotent-Replayed" in answer.headers for answer in answers)
    assert len({answer.json()["items"][0]["id"] for answer in answers}) == 3
    stored = {row.key for row in clean_backend.rows(IdempotencyKey)}
    assert sorted(" " in key for key in stored) == [False, True, True]  # which no client can send


def test_tokens_are_listed_in_pages_newest_first_and_only_to_their_owner(
    server: ApiServer, owner: Owner, stranger: Owner
):
    made = [make_upload_token(server, owner.headers)[0]["id"] for _ in range(3)]
    first = server.client.get("/v1/upload-tokens?limit=2", headers=owner.headers)
    assert [item["id"] for item in first.json()["items"]] == [made[2], made[1]]
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = server.client.get(link, headers=owner.headers)
    assert [item["id"] for item in second.json()["items"]] == [made[0]]
    assert second.json()["next_cursor"] is None
    assert server.client.get("/v1/upload-tokens", headers=stranger.headers).json()["items"] == []
    wrong = server.client.get("/v1/upload-tokens?cursor=x", headers=owner.headers)
    assert_problem(wrong, 400, "bad-cursor")


def test_revoked_token_stops_at_once_and_is_listed_no_more(server: ApiServer, owner: Owner, stranger: Owner):
    shown, token = make_upload_token(server, owner.headers, max_files=5)
    path = f"/v1/upload-tokens/{shown['id']}"
    assert_problem(server.client.delete(path, headers=stranger.headers), 404, "not-found")
    assert post(server, token).status_code == 201
    assert server.client.delete(path, headers=owner.headers).status_code == 204
    assert_problem(post(server, token), 401, "invalid-credentials")
    assert server.client.get("/v1/upload-tokens", headers=owner.headers).json()["items"] == []
    assert_problem(server.client.delete(path, headers=owner.headers), 404, "not-found")


def test_admin_may_revoke_anybodys_token(server: ApiServer, owner: Owner):
    shown, token = make_upload_token(server, owner.headers)
    assert server.client.delete(f"/v1/upload-tokens/{shown['id']}", headers=ADMIN).status_code == 204
    assert_problem(post(server, token), 401, "invalid-credentials")


def test_token_outlives_the_key_that_made_it(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(scopes=("files:write", "keys"))
    key, headers = make_key(server, owner.headers, "files:write")
    _, token = make_upload_token(server, headers)
    assert server.client.delete(f"/v1/api-keys/{key['id']}", headers=owner.headers).status_code == 204
    assert post(server, token).status_code == 201


@pytest.mark.parametrize("text", ["mut_", "mut_00000000_unknown", "mut_00000000_\u00e9"])
def test_what_only_looks_like_a_token_is_a_401(server: ApiServer, text: str):
    headers = {"Authorization": f"Bearer {text}".encode("latin-1")}
    answer = server.client.post("/v1/files", headers=headers, content=b"x")  # type: ignore[arg-type]
    assert_problem(answer, 401, "invalid-credentials")


def test_token_in_a_path_is_repeated_in_no_problem(server: ApiServer, owner: Owner):
    shown, _ = make_upload_token(server, owner.headers)
    answer = server.client.get(f"/v1/companion/{shown['token']}/s3/params")
    assert (answer.status_code, shown["token"] in answer.text) == (404, False)
    assert answer.json()["instance"] == f"/v1/companion/mut_{shown['prefix']}_[redacted]/s3/params"


def test_holder_of_a_token_is_not_told_what_its_owner_stores(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000, quota_files=10)
    _, token = make_upload_token(server, owner.headers, max_files=5)
    tus = TusClient(server, token)

    def late() -> Iterator[bytes]:
        yield b"x" * 2000

    refused = [
        (507, post(server, token, b"x" * 2000)),
        (507, post(server, token, late())),
        (507, post_form(server, token, file_part(b"x" * 2000))),
        (403, tus.create(2000)),
    ]
    for status, answer in refused:
        problem = assert_problem(answer, status, "quota-exceeded")
        assert [name for name in problem if "bytes" in name or "files" in name] == []
    told = assert_problem(post(server, owner.headers, b"x" * 2000), 507, "quota-exceeded")
    assert told["limit_bytes"] == 1000
