"""Users: what they change of themselves, and what admins change of them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.event import listen, remove

from media_service.auth.models import ApiKey, LoginSession, Role, UploadToken, User
from media_service.auth.scopes import Account, Caller, Scope
from media_service.database import Database
from media_service.events.models import INSERT_EVENTS, Event, EventType, event
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.models import File
from media_service.jobs.models import Job, JobKind
from media_service.models import new_id, utc_now
from media_service.users.removal import ROWS_AT_ONCE, UserRemoval, _heir
from tests.support import images
from tests.support.accounts import (
    PASSWORD,
    ask_for_tokens,
    log_in,
    make_account,
    make_key,
    make_upload_token,
    refresh,
    status_of,
)
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem

NEW_PASSWORD = "another battery staple"


def change_me(server: ApiServer, headers: dict[str, str], **body: Any):
    return server.client.patch("/v1/me", headers=headers, json=body)


def change(server: ApiServer, user_id: object, **body: Any):
    return server.client.patch(f"/v1/users/{user_id}", headers=ADMIN, json=body)


def first_admin(backend: Backend) -> User:
    return min((row for row in backend.rows(User) if row.role is Role.ADMIN), key=lambda row: row.id)


def test_me_is_the_user_and_what_the_credential_may_do(server: ApiServer):
    account = make_account(server, quota_bytes=1000, quota_files=2)
    login = log_in(server, account, scope="files:read")
    answer = server.client.get("/v1/me", headers=login.headers)
    assert answer.headers["Cache-Control"] == "no-store"
    me = answer.json()
    assert (me["id"], me["email"], me["scopes"]) == (account.id, account.email, ["files:read"])
    assert (me["quota_bytes"], me["quota_files"]) == (1000, 2)
    assert "argon2" not in answer.text


def test_new_password_needs_the_old_one_and_ends_the_other_logins(server: ApiServer):
    account = make_account(server)
    mine, other = log_in(server, account), log_in(server, account)
    for given in ({}, {"current_password": "wrong"}):
        assert_problem(change_me(server, mine.headers, password=NEW_PASSWORD, **given), 403, "wrong-password")
    changed = change_me(server, mine.headers, password=NEW_PASSWORD, current_password=PASSWORD)
    assert changed.status_code == 200
    assert status_of(server, mine.headers) == 200
    assert status_of(server, other.headers) == 401
    assert refresh(server, other.refresh_token).status_code == 401
    assert_problem(ask_for_tokens(server, account.email, PASSWORD), 401, "invalid-credentials")
    assert ask_for_tokens(server, account.email, NEW_PASSWORD).status_code == 200


def test_new_address_is_the_one_to_log_in_with(server: ApiServer):
    account = make_account(server)
    login = log_in(server, account)
    changed = change_me(server, login.headers, email="New@Example.org", current_password=PASSWORD)
    assert changed.json()["email"] == "new@example.org"
    assert status_of(server, login.headers) == 200
    assert ask_for_tokens(server, account.email).status_code == 401
    assert ask_for_tokens(server, "new@example.org").status_code == 200


def test_address_of_another_account_is_a_409(server: ApiServer):
    account, other = make_account(server), make_account(server)
    login = log_in(server, account)
    answer = change_me(server, login.headers, email=other.email.upper(), current_password=PASSWORD)
    assert_problem(answer, 409, "email-taken")


def test_first_admin_sets_a_password_with_the_key_alone_once(server: ApiServer):
    body = {"email": "root@example.org", "password": PASSWORD}
    assert change_me(server, ADMIN, **body).status_code == 200
    assert ask_for_tokens(server, "root@example.org").status_code == 200
    assert_problem(change_me(server, ADMIN, password=NEW_PASSWORD), 403, "wrong-password")


def test_narrow_key_of_a_user_without_password_sets_none(server: ApiServer, owner: Owner):
    answer = change_me(server, owner.headers, email="me@example.org", password=PASSWORD)
    assert_problem(answer, 403, "missing-scope", scope="keys")


@pytest.mark.parametrize(
    ("role", "scopes", "lacks"),
    [
        (Role.ADMIN, ("keys",), "admin"),
        (Role.ADMIN, tuple(scope for scope in Scope if scope != "admin"), "admin"),
        (Role.USER, ("keys",), "files:delete"),
    ],
)
def test_key_that_may_do_less_than_its_user_sets_no_first_password(
    server: ApiServer, clean_backend: Backend, role: Role, scopes: tuple[str, ...], lacks: str
):
    owner = clean_backend.add_owner(scopes=scopes, role=role)
    answer = change_me(server, owner.headers, email="me@example.org", password=PASSWORD)
    assert_problem(answer, 403, "missing-scope", scope=lacks)
    assert ask_for_tokens(server, "me@example.org").status_code == 401


def test_key_of_all_scopes_of_a_user_without_password_sets_one(server: ApiServer, clean_backend: Backend):
    scopes = tuple(scope for scope in Scope if scope is not Scope.ADMIN)
    owner = clean_backend.add_owner(scopes=scopes)
    assert change_me(server, owner.headers, email="me@example.org", password=PASSWORD).status_code == 200
    assert ask_for_tokens(server, "me@example.org").status_code == 200


def test_narrow_key_changes_no_profile_even_with_the_password(server: ApiServer):
    login = log_in(server, make_account(server))
    _, narrow = make_key(server, login.headers, "files:read")
    _, wide = make_key(server, login.headers, "keys")
    body = {"password": NEW_PASSWORD, "current_password": PASSWORD}
    assert_problem(change_me(server, narrow, **body), 403, "missing-scope", scope="keys")
    assert change_me(server, wide, **body).status_code == 200


def test_users_are_made_listed_and_described_by_admins(server: ApiServer):
    made = [make_account(server) for _ in range(3)]
    first = server.client.get("/v1/users?limit=2", headers=ADMIN)
    assert [item["id"] for item in first.json()["items"]] == [made[2].id, made[1].id]
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    rest = server.client.get(link, headers=ADMIN).json()["items"]
    assert rest[0]["id"] == made[0].id
    described = server.client.get(f"/v1/users/{made[0].id}", headers=ADMIN).json()
    assert described == rest[0]
    assert set(described) == {
        "id", "email", "role", "disabled", "quota_bytes", "quota_files",
        "stored_bytes", "stored_files", "created_at", "updated_at"
    }  # fmt: skip


def test_second_user_of_an_address_is_a_409(server: ApiServer):
    account = make_account(server)
    body = {"email": account.email.upper(), "password": PASSWORD}
    assert_problem(server.client.post("/v1/users", headers=ADMIN, json=body), 409, "email-taken")


def test_admin_changes_role_and_quotas(server: ApiServer):
    account = make_account(server)
    login = log_in(server, account)
    changed = change(server, account.id, role="admin", quota_bytes=5, quota_files=0).json()
    assert (changed["role"], changed["quota_bytes"], changed["quota_files"]) == ("admin", 5, 0)
    assert changed["updated_at"] > changed["created_at"]
    # The login was a user's: a new one has the new scopes.
    assert server.client.get("/v1/users", headers=login.headers).status_code == 403
    assert server.client.get("/v1/users", headers=log_in(server, account).headers).status_code == 200
    assert change(server, account.id, quota_bytes=None).json()["quota_bytes"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"role": None},
        {"disabled": None},
        {"password": None},
        {"password": "short"},
        {"role": "root"},
        {"quota_bytes": -1},
        {"quota_files": 2**63},
        {"password_hash": "x"},
        {"id": str(new_id())},
    ],
)
def test_change_that_cannot_be_is_a_422(server: ApiServer, body: dict[str, Any]):
    account = make_account(server)
    assert_problem(change(server, account.id, **body), 422, "invalid-request")


def test_disabled_users_tokens_and_keys_stop_at_once_and_the_keys_come_back(server: ApiServer):
    account = make_account(server)
    login = log_in(server, account)
    _, key = make_key(server, login.headers, "files:read")
    assert change(server, account.id, disabled=True).json()["disabled"] is True
    for headers in (login.headers, key):
        assert_problem(server.client.get("/v1/me", headers=headers), 401, "invalid-credentials")
    assert refresh(server, login.refresh_token).status_code == 401
    assert ask_for_tokens(server, account.email).status_code == 401
    assert change(server, account.id, disabled=False).json()["disabled"] is False
    assert status_of(server, key) == 200
    assert status_of(server, login.headers) == 401
    assert ask_for_tokens(server, account.email).status_code == 200


def test_admin_sets_a_forgotten_password_and_that_ends_the_logins(server: ApiServer):
    account = make_account(server)
    login = log_in(server, account)
    assert change(server, account.id, password=NEW_PASSWORD).status_code == 200
    assert status_of(server, login.headers) == 401
    assert ask_for_tokens(server, account.email, PASSWORD).status_code == 401
    assert ask_for_tokens(server, account.email, NEW_PASSWORD).status_code == 200


@pytest.mark.parametrize("body", [{"role": "user"}, {"disabled": True}, None])
def test_last_enabled_admin_stays(server: ApiServer, clean_backend: Backend, body: dict[str, Any] | None):
    admin = first_admin(clean_backend)
    disabled = make_account(server, role="admin")
    change(server, disabled.id, disabled=True)
    path = f"/v1/users/{admin.id}"
    if body is None:
        answer = server.client.delete(path, headers=ADMIN)
    else:
        answer = server.client.patch(path, headers=ADMIN, json=body)
    assert_problem(answer, 409, "last-admin")
    assert server.client.get("/v1/users", headers=ADMIN).status_code == 200


def test_of_two_admins_who_disable_each_other_at_once_one_stays(server: ApiServer, clean_backend: Backend):
    first = first_admin(clean_backend)
    second = clean_backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    pairs = [(ADMIN, second.id), (second.headers, first.id)]

    def disable(pair: tuple[dict[str, str], UUID]) -> int:
        headers, user_id = pair
        path = f"/v1/users/{user_id}"
        return server.client.patch(path, headers=headers, json={"disabled": True}).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = Counter(pool.map(disable, pairs))
    assert statuses[200] == 1
    assert set(statuses) <= {200, 401, 409}
    enabled = [row for row in clean_backend.rows(User) if row.disabled_at is None]
    assert len(enabled) == 1


def test_deleted_user_takes_files_keys_and_logins_along_and_leaves_purge_jobs(
    server: ApiServer, clean_backend: Backend
):
    account = make_account(server)
    login = log_in(server, account)
    make_key(server, login.headers, "files:read")
    make_upload_token(server, login.headers)
    files = [
        server.client.post(
            "/v1/files", headers=login.headers, files={"file": ("a.jpg", images.jpeg(8, 8))}
        ).json()["items"][0]["id"]
        for _ in range(3)
    ]
    server.client.delete(f"/v1/files/{files[0]}", headers=login.headers)
    answer = server.client.delete(f"/v1/users/{account.id}", headers=ADMIN)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(server.client.get(f"/v1/users/{account.id}", headers=ADMIN), 404, "not-found")
    assert status_of(server, login.headers) == 401
    assert clean_backend.rows(File) == []
    assert clean_backend.rows(LoginSession) == []
    assert clean_backend.rows(UploadToken) == []
    assert UUID(account.id) not in {row.owner_id for row in clean_backend.rows(ApiKey)}
    jobs = clean_backend.rows(Job)
    assert {(job.kind, job.status) for job in jobs} == {(JobKind.PURGE_FILE, "queued")}
    assert {job.payload["file_id"] for job in jobs} == set(files)
    assert {job.owner_id for job in jobs} == {first_admin(clean_backend).id}


def test_admin_who_deletes_himself_leaves_his_purges_to_another(server: ApiServer, clean_backend: Backend):
    admin = clean_backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    server.client.post("/v1/files", headers=admin.headers, content=b"bytes")
    assert server.client.delete(f"/v1/users/{admin.id}", headers=admin.headers).status_code == 204
    [job] = clean_backend.rows(Job)
    assert (job.kind, job.owner_id) == (JobKind.PURGE_FILE, first_admin(clean_backend).id)


def test_history_of_a_user_goes_in_bits_before_the_user(
    server: ApiServer, clean_backend: Backend, owner: Owner
):
    made = [
        event(EventType.FILE_CREATED, owner_id=owner.id, file_id=new_id()) for _ in range(ROWS_AT_ONCE + 1)
    ]
    with clean_backend.database.transaction() as session:
        session.execute(INSERT_EVENTS, [{**row.column_values(), "created_at": utc_now()} for row in made])
    server.client.post("/v1/files", headers=owner.headers, content=b"bytes")
    server.client.post("/v1/files", headers=owner.headers, content=images.jpeg(8, 8))
    deletes: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("DELETE FROM"):
            deletes.append(statement.split()[2])

    engine = server.app.state.user_removal._database._engine.sync_engine
    listen(engine, "before_cursor_execute", note)
    try:
        assert server.client.delete(f"/v1/users/{owner.id}", headers=ADMIN).status_code == 204
    finally:
        remove(engine, "before_cursor_execute", note)
    assert deletes == ["files", "events", "events", "jobs", "users"]
    assert clean_backend.rows(Event) == []


def test_admin_who_is_deleted_while_deleting_is_a_401(
    clean_backend: Backend, server: ApiServer, owner: Owner
):
    server.client.post("/v1/files", headers=owner.headers, content=b"bytes")
    gone = Caller(new_id(), frozenset(Scope), new_id(), Account())

    async def scenario() -> None:
        database = Database(clean_backend.settings().effective_database_url, pool_size=1)
        try:
            await UserRemoval(database, job_max_attempts=1).delete(owner.id, gone)
        finally:
            await database.close()

    with pytest.raises(MediaServiceError) as caught:
        asyncio.run(scenario())
    assert caught.value.kind is ErrorKind.UNAUTHENTICATED
    assert len(clean_backend.rows(File)) == 1


def test_admin_who_deletes_himself_as_the_last_other_one_goes_is_a_409(clean_backend: Backend):
    async def scenario() -> None:
        database = Database(clean_backend.new_database(), pool_size=1)
        try:
            async with database.transaction() as session:
                user_id = new_id()
                await _heir(session, user_id, Caller(user_id, frozenset(Scope), new_id(), Account()))
        finally:
            await database.close()

    with pytest.raises(MediaServiceError) as caught:
        asyncio.run(scenario())
    assert caught.value.code == "last-admin"


def test_unknown_user_is_a_404(server: ApiServer):
    for method in ("GET", "PATCH", "DELETE"):
        headers = {**ADMIN, "Content-Type": "application/json"}
        answer = server.client.request(method, f"/v1/users/{new_id()}", headers=headers, content=b"{}")
        assert_problem(answer, 404, "not-found")


def test_upload_of_a_user_who_is_deleted_meanwhile_is_a_401_that_leaves_nothing(
    server: ApiServer, clean_backend: Backend, owner: Owner
):
    def body() -> Iterator[bytes]:
        yield b"a" * 1000
        assert server.client.delete(f"/v1/users/{owner.id}", headers=ADMIN).status_code == 204
        yield b"b" * 1000

    answer = server.client.post("/v1/files", headers=owner.headers, content=body())
    assert_problem(answer, 401, "invalid-credentials")
    assert clean_backend.leftovers() == {}
