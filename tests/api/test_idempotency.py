"""Uploads that are sent again under their Idempotency-Key: one file, and the same answer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from media_service.models import new_id
from media_service.tables import File, IdempotencyKey
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.forms import CONTENT_TYPE, file_part, form, text_part
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
FOR_EVER_MS, LONG_AGO_MS = 2**50, 1


def post_raw(
    server: ApiServer, owner: Owner, data: bytes = b"words", *, key: dict[str, str] = KEY, **query: Any
) -> httpx2.Response:
    return server.client.post("/v1/files", headers={**owner.headers, **key}, content=data, params=query)


def post_form(server: ApiServer, owner: Owner, *parts: bytes, query: str = "") -> httpx2.Response:
    headers = {**owner.headers, **KEY, "Content-Type": CONTENT_TYPE}
    return server.client.post(f"/v1/files{query}", headers=headers, content=form(*parts))


def set_key(backend: Backend, **values: Any) -> None:
    with backend.database.transaction() as session:
        session.execute(update(IdempotencyKey).values(**values))


def add_claim(backend: Backend, owner: Owner, *, until_ms: int) -> None:
    """What a process that received an upload has left when it died."""
    claim = IdempotencyKey(
        owner_id=owner.id, key=KEY["Idempotency-Key"], token=new_id(), made_ids=[], until_ms=until_ms
    )
    with backend.database.transaction() as session:
        session.add(claim)


def test_repeated_raw_upload_is_answered_as_the_first_and_makes_no_second_file(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    first = post_raw(server, owner, filename="a.txt", tags=["t"])
    again = post_raw(server, owner, filename="a.txt", tags=["t"])
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert len(clean_backend.rows(File)) == len(clean_backend.keys()) == 1


def test_repeated_form_is_answered_with_the_same_files_in_the_same_order(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    parts = [text_part("tags", "t"), *(file_part(b"x" * n, filename=f"{n}") for n in (3_000_000, 0, 5))]
    first, again = post_form(server, owner, *parts), post_form(server, owner, *parts)
    assert [item["size"] for item in first.json()["items"]] == [3_000_000, 0, 5]
    assert again.json() == first.json()
    assert len(clean_backend.keys()) == 3
    assert list(clean_backend.storage.list_uploads()) == []


def test_replay_shows_the_file_as_it_is_now(server: ApiServer, owner: Owner):
    file = post_raw(server, owner).json()["items"][0]
    server.client.patch(f"/v1/files/{file['id']}", headers=owner.headers, json={"filename": "renamed"})
    assert post_raw(server, owner).json()["items"][0]["filename"] == "renamed"


@pytest.mark.parametrize(
    "other",
    [
        {"data": b"other"},
        {"filename": "b.txt"},
        {"tags": ["t", "u"]},
        {"visibility": "public"},
        {"custom": '{"a": 1}'},
        {"unknown": "1"},
    ],
    ids=str,
)
def test_key_of_another_request_is_a_422_and_stores_nothing(
    server: ApiServer, owner: Owner, clean_backend: Backend, other: dict[str, Any]
):
    first: dict[str, Any] = {"data": b"words", "filename": "a.txt", "tags": ["t"]}
    assert post_raw(server, owner, **first).status_code == 201
    assert_problem(post_raw(server, owner, **{**first, **other}), 422, "idempotency-key-reused")
    assert post_raw(server, owner, **first).headers["Idempotent-Replayed"] == "true"
    assert len(clean_backend.keys()) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [file_part(b"a"), file_part(b"b")],
        [file_part(b"b")],
        [file_part(b"a", filename="other")],
        [text_part("tags", "t"), file_part(b"a")],
    ],
)
def test_key_of_another_form_is_a_422(server: ApiServer, owner: Owner, parts: list[bytes]):
    assert post_form(server, owner, file_part(b"a")).status_code == 201
    assert_problem(post_form(server, owner, *parts), 422, "idempotency-key-reused")
    assert_problem(post_form(server, owner, file_part(b"a"), query="?x=1"), 422, "idempotency-key-reused")
    assert_problem(post_raw(server, owner, b"a", filename="a.bin"), 422, "idempotency-key-reused")


def test_keys_of_two_owners_have_nothing_to_do_with_each_other(
    server: ApiServer, owner: Owner, stranger: Owner
):
    first, other = post_raw(server, owner), post_raw(server, stranger, b"something else")
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["items"][0]["id"] != other.json()["items"][0]["id"]


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256, "a\tb"])
def test_key_that_is_none_is_a_400(server: ApiServer, owner: Owner, key: str):
    headers = {**owner.headers, "Idempotency-Key": key.encode("latin-1")}
    answer = server.client.post("/v1/files", headers=headers, content=b"words")  # type: ignore[arg-type]
    assert_problem(answer, 400, "bad-idempotency-key")


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "!~"])
def test_any_visible_text_is_a_key(server: ApiServer, owner: Owner, key: str):
    first, again = (post_raw(server, owner, key={"Idempotency-Key": key}) for _ in range(2))
    assert first.json() == again.json()


def test_twenty_at_once_make_one_file(server: ApiServer, owner: Owner, clean_backend: Backend):
    barrier = threading.Barrier(20)

    def post(_: int) -> tuple[int, Any]:
        with httpx2.Client(base_url=server.base_url, timeout=60) as client:
            barrier.wait()
            headers = {**owner.headers, **KEY}
            answer = client.post("/v1/files", headers=headers, content=b"x" * 200_000)
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    made = {body["items"][0]["id"] for status, body in answers if status == 201}
    assert len(made) == 1
    assert {body["code"] for status, body in answers if status != 201} <= {"idempotency-in-flight"}
    assert [str(file.id) for file in clean_backend.rows(File)] == list(made)
    assert len(clean_backend.keys()) == 1


def begin(connection: RawConnection, owner: Owner, data: bytes, *, size_bytes: int) -> None:
    headers = {**owner.headers, **KEY, "Content-Type": "text/plain", "Content-Length": str(size_bytes)}
    connection.send_head("POST", "/v1/files", headers)
    connection.send(data)


def wait_for_claim(backend: Backend) -> None:
    for _ in range(2000):
        if backend.rows(IdempotencyKey):
            return
        threading.Event().wait(0.005)
    raise AssertionError("no claim")


def test_twin_of_a_running_upload_is_a_409_that_says_when_to_come_again(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    with RawConnection(server.port) as first:
        begin(first, owner, b"ab", size_bytes=4)
        wait_for_claim(clean_backend)
        twin = post_raw(server, owner, b"abcd")
        assert_problem(twin, 409, "idempotency-in-flight")
        assert int(twin.headers["Retry-After"]) >= 1
        first.send(b"cd")
        assert first.answer().status == 201


def test_upload_that_broke_off_gives_its_key_back(server: ApiServer, owner: Owner, clean_backend: Backend):
    with RawConnection(server.port) as first:
        begin(first, owner, b"ab", size_bytes=4)
        wait_for_claim(clean_backend)
        first.reset()
    for _ in range(2000):
        if not clean_backend.rows(IdempotencyKey):
            break
        threading.Event().wait(0.005)
    assert post_raw(server, owner, b"abcd").status_code == 201


def test_refused_upload_gives_its_key_back(server: ApiServer, owner: Owner):
    wrong = {**owner.headers, **KEY, "Repr-Digest": f"sha-256=:{'A' * 43}=:"}
    answer = server.client.post("/v1/files", headers=wrong, content=b"words")
    assert_problem(answer, 422, "digest-mismatch")
    again = post_raw(server, owner)
    assert (again.status_code, "Idempotent-Replayed" in again.headers) == (201, False)


def test_claim_of_a_dead_process_ends_with_its_lease(server: ApiServer, owner: Owner, clean_backend: Backend):
    add_claim(clean_backend, owner, until_ms=FOR_EVER_MS)
    assert_problem(post_raw(server, owner), 409, "idempotency-in-flight")
    set_key(clean_backend, until_ms=LONG_AGO_MS)
    assert post_raw(server, owner).status_code == 201


def test_holder_that_lost_its_key_meanwhile_makes_nothing(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    with RawConnection(server.port) as paused:
        begin(paused, owner, b"ab", size_bytes=4)
        wait_for_claim(clean_backend)
        set_key(clean_backend, token=new_id(), until_ms=LONG_AGO_MS)
        assert post_raw(server, owner, b"abcd").status_code == 201
        paused.send(b"cd")
        answer = paused.answer()
        assert (answer.status, b"upload-interrupted" in answer.read()) == (503, True)
    assert len(clean_backend.rows(File)) == len(clean_backend.keys()) == 1


def test_key_may_be_used_again_when_its_time_is_over(server: ApiServer, owner: Owner, clean_backend: Backend):
    first = post_raw(server, owner).json()["items"][0]["id"]
    set_key(clean_backend, until_ms=LONG_AGO_MS)
    second = post_raw(server, owner, b"other").json()["items"][0]["id"]
    assert {UUID(first), UUID(second)} == {file.id for file in clean_backend.rows(File)}


def test_replay_of_what_was_deleted_is_a_410(server: ApiServer, owner: Owner, clean_backend: Backend):
    file = post_raw(server, owner).json()["items"][0]
    server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers)
    assert_problem(post_raw(server, owner), 410, "idempotent-file-deleted")
    assert clean_backend.rows(File) == []


def test_replay_is_refused_as_the_upload_would_be(server: ApiServer, owner: Owner):
    assert post_form(server, owner, file_part(b"a")).status_code == 201
    assert_problem(post_form(server, owner), 400, "no-file")
