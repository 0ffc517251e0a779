"""API keys that users make for themselves."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2
import pytest

from media_service.auth.api_keys import MAX_KEYS
from media_service.auth.key_usage import KeyUsage
from media_service.auth.keys import generate_key
from media_service.auth.models import ApiKey, KeyOrigin, LoginSession, Role
from media_service.database import Database
from tests.support.accounts import Login, log_in, make_account, make_key, status_of
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem


@pytest.fixture
def login(server: ApiServer) -> Login:
    return log_in(server, make_account(server))


def test_secret_is_shown_once_and_stored_hashed(server: ApiServer, login: Login, clean_backend: Backend):
    answer = server.client.post(
        "/v1/api-keys", headers=login.headers, json={"name": "camera", "scopes": ["files:write"]}
    )
    assert answer.headers["Cache-Control"] == "no-store"
    shown = answer.json()
    assert shown["key"].startswith(f"msk_{shown['prefix']}_")
    assert (shown["name"], shown["scopes"]) == ("camera", ["files:write"])
    assert (shown["expires_at"], shown["last_used_at"]) == (None, None)
    listed = server.client.get("/v1/api-keys", headers=login.headers)
    assert shown["key"] not in listed.text
    assert listed.json()["items"] == [{name: shown[name] for name in shown if name != "key"}]
    assert all(shown["key"] not in row.key_sha256 for row in clean_backend.rows(ApiKey))


def test_key_does_what_its_scopes_say_in_both_headers(server: ApiServer, login: Login):
    shown, headers = make_key(server, login.headers, "files:read")
    for form in (headers, {"X-API-Key": shown["key"]}):
        assert server.client.get("/v1/files", headers=form).status_code == 200
        assert_problem(server.client.get("/v1/api-keys", headers=form), 403, "missing-scope", scope="keys")


def test_key_gives_no_scope_that_its_maker_lacks(server: ApiServer, login: Login):
    _, narrow = make_key(server, login.headers, "keys", "files:read")
    for headers, scope in ((narrow, "files:write"), (narrow, "admin"), (login.headers, "admin")):
        answer = server.client.post("/v1/api-keys", headers=headers, json={"name": "x", "scopes": [scope]})
        assert_problem(answer, 403, "missing-scope", scope=scope)
    make_key(server, narrow, "files:read")


def test_key_that_expires_makes_none_that_lives_longer(server: ApiServer, login: Login):
    shown, headers = make_key(server, login.headers, "keys", expires_in=3600)
    for longer in ({}, {"expires_in": None}, {"expires_in": 3700}):
        body = {"name": "x", "scopes": ["keys"], **longer}
        answer = server.client.post("/v1/api-keys", headers=headers, json=body)
        latest = assert_problem(answer, 422, "key-outlives-maker")["latest"]
        assert datetime.fromisoformat(latest) == datetime.fromisoformat(shown["expires_at"])
    made, _ = make_key(server, headers, "keys", expires_in=3000)
    assert made["expires_at"] < shown["expires_at"]


def test_user_has_a_hundred_live_keys_and_no_more_however_many_are_asked_for_at_once(
    server: ApiServer, login: Login, clean_backend: Backend
):
    [owner_id] = [row.user_id for row in clean_backend.rows(LoginSession)]
    ended = {"expires_at": datetime.now(UTC)}, {"revoked_at": datetime.now(UTC)}
    with clean_backend.database.transaction() as session:
        for times in (*[{}] * (MAX_KEYS - 3), *ended):
            made = generate_key(owner_id=owner_id, name="x", scopes=["files:read"], origin=KeyOrigin.API)
            session.add(made.row)
            for name, value in times.items():
                setattr(made.row, name, value)

    def ask(_: int) -> httpx2.Response:
        body = {"name": "x", "scopes": ["files:read"]}
        return server.client.post("/v1/api-keys", headers=login.headers, json=body)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(6)))
    assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 3}
    assert_problem(ask(0), 409, "too-many-keys", limit=MAX_KEYS)
    made_id = next(answer.json()["id"] for answer in answers if answer.status_code == 201)
    server.client.delete(f"/v1/api-keys/{made_id}", headers=login.headers)
    assert ask(0).status_code == 201


def test_admin_makes_keys_of_any_scope(server: ApiServer):
    _, headers = make_key(server, ADMIN, "admin")
    assert server.client.get("/v1/users", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": []},
        {"scopes": ["files:everything"]},
        {"name": ""},
        {"name": "a\x00b"},
        {"expires_in": 0},
        {"expires_in": 10**12},
        {"owner_id": "019abc12-3456-7def-8123-456789abcdef"},
    ],
)
def test_key_that_cannot_be_is_a_422(server: ApiServer, login: Login, changes: dict[str, object]):
    body = {"name": "x", "scopes": ["files:read"], **changes}
    assert_problem(
        server.client.post("/v1/api-keys", headers=login.headers, json=body), 422, "invalid-request"
    )


def test_key_ends_at_its_expiry(server: ApiServer, login: Login, clean_backend: Backend):
    shown, headers = make_key(server, login.headers, "files:read", expires_in=3600)
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(minutes=60)
    assert status_of(server, headers) == 200
    with clean_backend.database.transaction() as session:
        session.get_one(ApiKey, UUID(shown["id"])).expires_at = datetime.now(UTC) - timedelta(seconds=1)
    assert status_of(server, headers) == 401


def test_deleted_key_stops_at_once_and_is_listed_no_more(server: ApiServer, login: Login):
    shown, headers = make_key(server, login.headers, "files:read")
    answer = server.client.delete(f"/v1/api-keys/{shown['id']}", headers=login.headers)
    assert answer.status_code == 204
    assert_problem(server.client.get("/v1/me", headers=headers), 401, "invalid-credentials")
    assert server.client.get("/v1/api-keys", headers=login.headers).json()["items"] == []
    again = server.client.delete(f"/v1/api-keys/{shown['id']}", headers=login.headers)
    assert_problem(again, 404, "not-found")


def test_key_of_another_user_is_a_404_and_lives_on(server: ApiServer, login: Login):
    shown, headers = make_key(server, login.headers, "files:read")
    stranger = log_in(server, make_account(server))
    answer = server.client.delete(f"/v1/api-keys/{shown['id']}", headers=stranger.headers)
    assert_problem(answer, 404, "not-found")
    assert server.client.get("/v1/api-keys", headers=stranger.headers).json()["items"] == []
    assert status_of(server, headers) == 200
    assert server.client.delete(f"/v1/api-keys/{shown['id']}", headers=ADMIN).status_code == 204
    assert status_of(server, headers) == 401


def test_key_that_a_setting_names_cannot_be_deleted(server: ApiServer, clean_backend: Backend):
    [key] = [row for row in clean_backend.rows(ApiKey) if row.origin is KeyOrigin.SETTING]
    answer = server.client.delete(f"/v1/api-keys/{key.id}", headers=ADMIN)
    assert_problem(answer, 409, "key-of-a-setting")


def test_keys_are_listed_in_pages_newest_first(server: ApiServer, login: Login):
    made = [make_key(server, login.headers, "files:read", name=str(n))[0]["id"] for n in range(3)]
    first = server.client.get("/v1/api-keys?limit=2", headers=login.headers)
    assert [item["id"] for item in first.json()["items"]] == [made[2], made[1]]
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = server.client.get(link, headers=login.headers)
    assert [item["id"] for item in second.json()["items"]] == [made[0]]
    assert second.json()["next_cursor"] is None
    wrong = server.client.get("/v1/api-keys?cursor=x", headers=login.headers)
    assert_problem(wrong, 400, "bad-cursor")


def test_keys_of_a_demoted_admin_are_no_admins(server: ApiServer, clean_backend: Backend):
    admin = clean_backend.add_owner(scopes=("admin", "files:read"), role=Role.ADMIN)
    assert server.client.get("/v1/users", headers=admin.headers).status_code == 200
    server.client.patch(f"/v1/users/{admin.id}", headers=ADMIN, json={"role": "user"})
    assert_problem(server.client.get("/v1/users", headers=admin.headers), 403, "missing-scope", scope="admin")
    assert server.client.get("/v1/files", headers=admin.headers).status_code == 200


def last_uses(backend: Backend) -> dict[UUID, datetime | None]:
    return {row.id: row.last_used_at for row in backend.rows(ApiKey)}


def test_request_only_notes_the_use_of_a_key_and_the_background_writes_it(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    [key_id] = [row.id for row in clean_backend.rows(ApiKey) if row.owner_id == owner.id]
    assert status_of(server, owner.headers) == 200
    assert key_id in server.app.state.identity._usage._waiting
    assert last_uses(clean_backend)[key_id] is None


def test_uses_are_written_in_one_go_and_at_most_once_in_a_while_per_key(
    owner: Owner, stranger: Owner, clean_backend: Backend
):
    keys = {row.owner_id: row.id for row in clean_backend.rows(ApiKey)}
    mine, theirs = keys[owner.id], keys[stranger.id]

    async def scenario() -> tuple[datetime | None, ...]:
        database = Database(clean_backend.settings().effective_database_url, pool_size=1)
        usage = KeyUsage(database, min_pause=timedelta(minutes=1))
        for key_id in (mine, theirs, mine, mine):
            usage.note(key_id)
        await usage.write()
        first = last_uses(clean_backend)[mine]
        usage.note(mine)
        await usage.write()
        second = last_uses(clean_backend)[mine]
        await database.close()
        return first, second

    first, second = asyncio.run(scenario())
    assert first is not None
    assert first == second
    assert last_uses(clean_backend)[theirs] is not None


def test_uses_of_the_last_seconds_are_written_when_the_service_stops(clean_backend: Backend, owner: Owner):
    with ApiServer(clean_backend.settings) as server:
        assert status_of(server, owner.headers) == 200
    [used_at] = [row.last_used_at for row in clean_backend.rows(ApiKey) if row.owner_id == owner.id]
    assert used_at is not None
