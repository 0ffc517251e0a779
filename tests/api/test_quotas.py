"""Quotas: what fits is taken, what does not fit leaves nothing, and whatever is reserved is given back."""

import asyncio
from collections.abc import Iterator
from typing import Any, Self
from uuid import UUID

import pytest

from media_service.auth.models import User
from media_service.dialects import now_ms
from media_service.tables import UploadSession
from tests.api.test_upload_streaming import wait_until
from tests.support.accounts import log_in, login_of, make_account
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.forms import CONTENT_TYPE, file_part, form, text_part
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection
from tests.support.sweeping import HOUR, sweep

MIB = 1024 * 1024
LARGE = 12 * MIB
"""More than a first part, whatever the storage."""


def post(server: ApiServer, owner: Owner, data: bytes | Iterator[bytes], **headers: str):
    return server.client.post("/v1/files", headers={**owner.headers, **headers}, content=data)


def post_form(server: ApiServer, owner: Owner, *parts: bytes):
    return post(server, owner, form(*parts), **{"Content-Type": CONTENT_TYPE})


def chunked(data: bytes) -> Iterator[bytes]:
    """A body without a declared length."""
    for at in range(0, len(data), 256 * 1024):
        yield data[at : at + 256 * 1024]


def usage(server: ApiServer, owner: Owner) -> dict[str, Any]:
    answer = server.client.get("/v1/me/usage", headers=owner.headers)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def stored(server: ApiServer, owner: Owner) -> tuple[int, int]:
    found = usage(server, owner)
    return found["stored_bytes"], found["stored_files"]


def reserved(server: ApiServer, owner: Owner) -> tuple[int, int]:
    found = usage(server, owner)
    return found["reserved_bytes"], found["reserved_files"]


def set_quota(server: ApiServer, owner: Owner, **quotas: int | None) -> None:
    answer = server.client.patch(f"/v1/users/{owner.id}", headers=ADMIN, json=quotas)
    assert answer.status_code == 200, answer.text


def test_usage_counts_originals_and_a_delete_frees_them(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000, quota_files=5)
    assert usage(server, owner) == {
        "stored_bytes": 0, "stored_files": 0, "reserved_bytes": 0, "reserved_files": 0,
        "quota_bytes": 1000, "quota_files": 5,
    }  # fmt: skip
    file_id = post(server, owner, b"x" * 300).json()["items"][0]["id"]
    post_form(server, owner, file_part(b"y" * 200), file_part(b""))
    assert stored(server, owner) == (500, 3)
    seen = server.client.get(f"/v1/users/{owner.id}", headers=ADMIN).json()
    assert (seen["stored_bytes"], seen["stored_files"]) == (500, 3)
    assert_problem(post(server, owner, b"z" * 501), 507, "quota-exceeded")
    assert server.client.delete(f"/v1/files/{file_id}", headers=owner.headers).status_code == 204
    assert stored(server, owner) == (200, 2)
    assert post(server, owner, b"z" * 501).status_code == 201


def test_refusal_says_what_is_allowed_and_what_is_left(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000)
    assert post(server, owner, b"x" * 400).status_code == 201
    members = {"limit_bytes": 1000, "available_bytes": 600, "limit_files": None, "available_files": None}
    assert_problem(post(server, owner, b"x" * 601), 507, "quota-exceeded", **members)
    assert_problem(post(server, owner, chunked(b"x" * 601)), 507, "quota-exceeded", **members)
    assert_problem(post_form(server, owner, file_part(b"x" * 601)), 507, "quota-exceeded", **members)
    assert len(clean_backend.keys()) == 1


def test_usage_is_counted_without_a_quota_so_that_one_can_be_set_at_any_time(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    assert post(server, owner, b"x" * LARGE).status_code == 201
    assert stored(server, owner) == (LARGE, 1)
    set_quota(server, owner, quota_bytes=LARGE)
    assert_problem(post(server, owner, b"x"), 507, "quota-exceeded", available_bytes=0)
    set_quota(server, owner, quota_bytes=None)
    assert post(server, owner, b"x").status_code == 201


@pytest.mark.parametrize("size_bytes", [20_000, LARGE])
def test_file_that_exactly_fits_is_taken_by_every_way(
    server: ApiServer, clean_backend: Backend, size_bytes: int
):
    data = b"x" * size_bytes
    bodies: list[tuple[bytes | Iterator[bytes], str]] = [
        (data, "application/octet-stream"),
        (chunked(data), "application/octet-stream"),
        (form(file_part(data)), CONTENT_TYPE),
        (form(file_part(data)).removesuffix(b"\r\n"), CONTENT_TYPE),
        (form(file_part(data), text_part("tags", "t" * 90)), CONTENT_TYPE),
        (chunked(form(text_part("tags", "t"), file_part(data))), CONTENT_TYPE),
        (form(file_part(data[:100]), file_part(data[100:])), CONTENT_TYPE),
        (form(file_part(data[: size_bytes // 2]), file_part(data[size_bytes // 2 :])), CONTENT_TYPE),
    ]
    for body, content_type in bodies:
        owner = clean_backend.add_owner(quota_bytes=size_bytes, quota_files=2)
        answer = post(server, owner, body, **{"Content-Type": content_type})
        assert answer.status_code == 201, answer.text
        assert stored(server, owner)[0] == size_bytes
        assert reserved(server, owner) == (0, 0)
    assert clean_backend.rows(UploadSession) == []


@pytest.mark.parametrize("size_bytes", [20_000, LARGE])
def test_one_byte_too_many_leaves_nothing(server: ApiServer, clean_backend: Backend, size_bytes: int):
    owner = clean_backend.add_owner(quota_bytes=size_bytes - 1)
    data = b"x" * size_bytes
    assert_problem(post(server, owner, data), 507, "quota-exceeded")
    assert_problem(post(server, owner, chunked(data)), 507, "quota-exceeded")
    assert_problem(post_form(server, owner, file_part(data)), 507, "quota-exceeded")
    assert stored(server, owner) == (0, 0)
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("sizes", [(10_000, 10_000), (LARGE, 10_000), (10_000, LARGE), (LARGE, LARGE)])
def test_form_whose_second_file_does_not_fit_leaves_nothing(
    server: ApiServer, clean_backend: Backend, sizes: tuple[int, int]
):
    parts = [file_part(b"x" * size_bytes) for size_bytes in sizes]
    by_bytes = clean_backend.add_owner(quota_bytes=sum(sizes) - 1)
    by_files = clean_backend.add_owner(quota_files=1)
    for owner in (by_bytes, by_files):
        assert_problem(post_form(server, owner, *parts), 507, "quota-exceeded")
        assert stored(server, owner) == (0, 0)
    assert clean_backend.leftovers() == {}


def test_empty_input_of_a_form_is_no_file_of_a_quota(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_files=1)
    answer = post_form(server, owner, file_part(b"x" * LARGE), file_part(b"", filename=""))
    assert answer.status_code == 201


def test_quota_of_zero_refuses_every_file_with_bytes(server: ApiServer, clean_backend: Backend):
    no_bytes, no_files = clean_backend.add_owner(quota_bytes=0), clean_backend.add_owner(quota_files=0)
    assert_problem(post(server, no_bytes, b"x"), 507, "quota-exceeded", available_bytes=0)
    assert post(server, no_bytes, b"").status_code == 201
    assert_problem(post(server, no_files, b""), 507, "quota-exceeded", available_files=0)


def test_quota_below_use_keeps_what_is_there_and_refuses_more(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=1000)
    file_id = post(server, owner, b"x" * 800).json()["items"][0]["id"]
    set_quota(server, owner, quota_bytes=100)
    assert_problem(post(server, owner, b""), 507, "quota-exceeded", available_bytes=0, limit_bytes=100)
    assert server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers).content == b"x" * 800
    assert usage(server, owner)["stored_bytes"] == 800


def test_declared_length_over_quota_is_refused_before_a_byte_of_the_body_is_read(
    server: ApiServer, clean_backend: Backend
):
    owner = clean_backend.add_owner(quota_bytes=10 * MIB)
    kinds = {"application/octet-stream": 10 * MIB + 1, CONTENT_TYPE: 18 * MIB + 1}
    for content_type, length_bytes in kinds.items():
        headers = {**owner.headers, "Content-Type": content_type, "Content-Length": str(length_bytes)}
        with RawConnection(server.port) as connection:
            connection.send_head("POST", "/v1/files", {**headers, "Expect": "100-continue"})
            assert connection.receive_head().startswith(b"HTTP/1.1 507 ")


class Halfway:
    """An upload that has sent all but its last byte, and holds what it has reserved."""

    def __init__(self, server: ApiServer, owner: Owner, *, is_form: bool = False) -> None:
        body = form(file_part(b"x" * LARGE)) if is_form else b"x" * LARGE
        content_type = CONTENT_TYPE if is_form else "application/octet-stream"
        self._last = body[-1:]
        self._connection = RawConnection(server.port)
        headers = {**owner.headers, "Content-Type": content_type, "Content-Length": str(len(body))}
        self._connection.send_head("POST", "/v1/files", headers)
        self._connection.send(body[:-1])
        wait_until(lambda: reserved(server, owner)[1] == 1)

    def finish(self) -> int:
        self._connection.send(self._last)
        return self._connection.answer().status

    def reset(self) -> None:
        self._connection.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@pytest.mark.parametrize("is_form", [False, True])
def test_large_upload_on_its_way_holds_exactly_what_it_will_store(
    server: ApiServer, clean_backend: Backend, *, is_form: bool
):
    owner = clean_backend.add_owner(quota_bytes=LARGE + 1000, quota_files=2)
    with Halfway(server, owner, is_form=is_form) as upload:
        assert reserved(server, owner) == (LARGE, 1)
        assert_problem(post(server, owner, b"y" * 1001), 507, "quota-exceeded", available_bytes=1000)
        assert post(server, owner, b"y" * 1000).status_code == 201
        assert_problem(post(server, owner, b""), 507, "quota-exceeded", available_files=0)
        assert upload.finish() == 201
    assert (stored(server, owner), reserved(server, owner)) == ((LARGE + 1000, 2), (0, 0))


def test_body_without_a_length_holds_little_more_than_has_come(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=100 * MIB)
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**owner.headers, "Transfer-Encoding": "chunked"})
        for _ in range(40):
            connection.send_chunk(b"x" * MIB)
        wait_until(lambda: reserved(server, owner)[0] >= 40 * MIB)
        assert reserved(server, owner)[0] <= 50 * MIB
        connection.send_chunk(b"")
        assert connection.answer().status == 201
    assert (stored(server, owner), reserved(server, owner)) == ((40 * MIB, 1), (0, 0))


def test_client_that_hangs_up_gives_back_what_it_held(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=LARGE)
    with Halfway(server, owner) as upload:
        upload.reset()
        wait_until(lambda: reserved(server, owner) == (0, 0))
    wait_until(lambda: clean_backend.leftovers() == {})
    assert post(server, owner, b"y" * LARGE).status_code == 201


def test_process_that_dies_gives_back_what_it_held_once_its_lease_is_over(
    server: ApiServer, clean_backend: Backend
):
    owner = clean_backend.add_owner(quota_bytes=LARGE)
    with Halfway(server, owner) as upload:
        (row,) = clean_backend.rows(UploadSession)
        sweep(clean_backend, grace=HOUR)
        assert reserved(server, owner) == (LARGE, 1)
        # As after a SIGKILL: nobody renews the lease any more.
        asyncio.run(forget(server, row.id))
        with clean_backend.database.transaction() as session:
            session.get_one(UploadSession, row.id).lease_until_ms = now_ms() - 1000
        assert sweep(clean_backend, grace=HOUR)["abandoned_upload"] == 1
        assert reserved(server, owner) == (0, 0)
        assert post(server, owner, b"y" * LARGE).status_code == 201
        assert upload.finish() in {503, 507}
    assert stored(server, owner) == (LARGE, 1)


async def forget(server: ApiServer, session_id: UUID) -> None:
    server.app.state.uploads._finalizer._sessions.forget([session_id])


def test_quota_that_is_set_while_an_upload_is_on_its_way_holds_at_its_end(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**owner.headers, "Content-Length": str(LARGE)})
        connection.send(b"x" * (LARGE - 1))
        wait_until(lambda: bool(clean_backend.rows(UploadSession)))
        set_quota(server, owner, quota_bytes=LARGE - 1)
        connection.send(b"x")
        assert connection.answer().status == 507
    assert clean_backend.leftovers() == {}


def test_replay_under_an_idempotency_key_reserves_nothing_and_is_answered_over_quota(
    server: ApiServer, clean_backend: Backend
):
    owner = clean_backend.add_owner(quota_bytes=LARGE, quota_files=1)
    key = {"Idempotency-Key": "once"}
    first = post(server, owner, b"x" * LARGE, **key)
    again = post(server, owner, b"x" * LARGE, **key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert stored(server, owner) == (LARGE, 1)


def test_refused_upload_may_be_repeated_under_its_key(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_files=0)
    key = {"Idempotency-Key": "later"}
    assert_problem(post(server, owner, b"x", **key), 507, "quota-exceeded")
    set_quota(server, owner, quota_files=1)
    assert post(server, owner, b"x", **key).status_code == 201


def test_quota_is_the_owners_and_not_of_others(server: ApiServer, clean_backend: Backend, stranger: Owner):
    owner = clean_backend.add_owner(quota_files=0)
    assert_problem(post(server, owner, b"x"), 507, "quota-exceeded")
    assert post(server, stranger, b"x").status_code == 201


def test_deleting_a_user_takes_files_and_counters_along(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=LARGE)
    for _ in range(3):
        assert post(server, owner, b"x" * 10).status_code == 201
    assert server.client.delete(f"/v1/users/{owner.id}", headers=ADMIN).status_code == 204
    assert owner.id not in {user.id for user in clean_backend.rows(User)}


def test_user_who_registers_gets_the_default_quota(backend: Backend, clean_backend: Backend):
    with ApiServer(
        backend.settings, allow_registration=True, default_quota_bytes=1000, default_quota_files=3
    ) as server:
        body = {"email": "new@example.org", "password": "correct horse battery"}
        assert server.client.post("/v1/auth/register", json=body).status_code == 201
        form_body = {"grant_type": "password", "username": body["email"], "password": body["password"]}
        login = login_of(server.client.post("/v1/auth/token", data=form_body))
        found = server.client.get("/v1/me/usage", headers=login.headers).json()
        assert (found["quota_bytes"], found["quota_files"]) == (1000, 3)
        made = log_in(server, make_account(server))
        assert server.client.get("/v1/me/usage", headers=made.headers).json()["quota_bytes"] is None
