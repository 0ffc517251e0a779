"""Registration, login, refresh, logout."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from media_service.auth.models import LoginSession, RefreshToken, User
from tests.support.accounts import (
    PASSWORD,
    Account,
    ask_for_tokens,
    log_in,
    login_of,
    make_account,
    refresh,
    status_of,
)
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem

USER_SCOPES = ["files:delete", "files:read", "files:write", "jobs:read", "jobs:write", "keys", "webhooks"]


@pytest.fixture
def account(server: ApiServer) -> Account:
    return make_account(server)


def test_who_registers_can_log_in_and_use_the_token(open_server: ApiServer):
    body = {"email": "Anna@Example.org", "password": PASSWORD}
    answer = open_server.client.post("/v1/auth/register", json=body)
    assert (answer.status_code, answer.json()) == (201, {"email": "anna@example.org"})
    login = login_of(ask_for_tokens(open_server, "ANNA@example.org"))
    me = open_server.client.get("/v1/me", headers=login.headers).json()
    assert (me["email"], me["role"], me["scopes"]) == ("anna@example.org", "user", USER_SCOPES)


def test_registration_is_closed_unless_a_setting_opens_it(server: ApiServer, clean_backend: Backend):
    users = len(clean_backend.rows(User))
    body = {"email": "anna@example.org", "password": PASSWORD}
    assert_problem(server.client.post("/v1/auth/register", json=body), 403, "registration-disabled")
    assert len(clean_backend.rows(User)) == users


def test_registration_of_a_known_address_gets_the_same_answer_and_changes_nothing(
    open_server: ApiServer, clean_backend: Backend
):
    account = make_account(open_server)
    before = [(row.id, row.password_hash) for row in clean_backend.rows(User)]
    body = {"email": account.email, "password": "a stranger's password"}
    known = open_server.client.post("/v1/auth/register", json=body)
    assert (known.status_code, known.json()) == (201, {"email": account.email})
    assert [(row.id, row.password_hash) for row in clean_backend.rows(User)] == before
    assert_problem(ask_for_tokens(open_server, account.email, body["password"]), 401, "invalid-credentials")


def test_hundred_registrations_of_one_address_make_one_account(
    open_server: ApiServer, clean_backend: Backend
):
    def register(number: int) -> int:
        body = {"email": "Anna@example.org", "password": f"password number {number}"}
        return open_server.client.post("/v1/auth/register", json=body).status_code

    with ThreadPoolExecutor(100) as pool:
        assert Counter(pool.map(register, range(100))) == {201: 100}
    assert [row.email for row in clean_backend.rows(User) if row.email] == ["anna@example.org"]


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("anna", PASSWORD),
        ("anna@example.org", "short"),
        ("anna@example.org", "x" * 257),
        ("anna@example.org", 7),
    ],
)
def test_registration_that_cannot_be_names_what_is_wrong_and_repeats_no_password(
    open_server: ApiServer, email: str, password: object
):
    answer = open_server.client.post("/v1/auth/register", json={"email": email, "password": password})
    assert_problem(answer, 422, "invalid-request")
    assert "xxxx" not in answer.text


def test_password_with_half_a_character_is_refused(open_server: ApiServer):
    answer = open_server.client.post(
        "/v1/auth/register",
        content=rb'{"email": "anna@example.org", "password": "\ud800 and more than 12"}',
        headers={"Content-Type": "application/json"},
    )
    assert_problem(answer, 422, "invalid-request")


def test_login_answers_as_oauth_wants_it_and_may_not_be_kept(server: ApiServer, account: Account):
    answer = ask_for_tokens(server, account.email)
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    assert body["scope"].split() == USER_SCOPES


def test_login_narrows_its_scopes_and_a_refresh_keeps_them_narrow(server: ApiServer, account: Account):
    login = log_in(server, account, scope="files:read jobs:read")
    again = refresh(server, login.refresh_token)
    assert again.json()["scope"] == "files:read jobs:read"
    for headers in (login.headers, login_of(again).headers):
        assert server.client.get("/v1/files", headers=headers).status_code == 200
        answer = server.client.get("/v1/api-keys", headers=headers)
        assert_problem(answer, 403, "missing-scope", scope="keys")


@pytest.mark.parametrize("scope", ["admin", "files:read admin", "files:everything"])
def test_login_gives_no_scope_that_the_user_has_not(server: ApiServer, account: Account, scope: str):
    answer = ask_for_tokens(server, account.email, scope=scope)
    assert_problem(answer, 400, "invalid-scope", scopes=USER_SCOPES)


def test_admin_logs_in_as_admin(server: ApiServer):
    login = log_in(server, make_account(server, role="admin"))
    assert server.client.get("/v1/users", headers=login.headers).status_code == 200


def test_unknown_address_wrong_password_and_disabled_user_get_one_answer(server: ApiServer, account: Account):
    disabled = make_account(server)
    server.client.patch(f"/v1/users/{disabled.id}", headers=ADMIN, json={"disabled": True})
    answers = [
        assert_problem(ask_for_tokens(server, email, password), 401, "invalid-credentials")
        for email, password in (
            ("nobody@example.org", PASSWORD),
            ("no address", PASSWORD),
            ("nul\x00@example.org", PASSWORD),
            (account.email, "wrong password"),
            (disabled.email, PASSWORD),
        )
    ]
    assert len({answer["detail"] for answer in answers}) == 1


def test_unknown_address_takes_as_long_as_a_wrong_password(server: ApiServer, account: Account):
    def fastest(email: str) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            ask_for_tokens(server, email, "wrong password")
            times.append(time.perf_counter() - started)
        return min(times)

    known, unknown = fastest(account.email), fastest("nobody@example.org")
    assert 1 / 3 < unknown / known < 3


def test_registration_of_a_known_address_takes_as_long_as_of_a_new_one(open_server: ApiServer):
    def fastest(emails: list[str]) -> float:
        times = []
        for email in emails:
            started = time.perf_counter()
            body = {"email": email, "password": PASSWORD}
            assert open_server.client.post("/v1/auth/register", json=body).status_code == 201
            times.append(time.perf_counter() - started)
        return min(times)

    new = fastest([f"{number}@example.org" for number in range(5)])
    known = fastest(["0@example.org"] * 5)
    assert 1 / 3 < known / new < 3


def test_token_form_of_another_grant_is_refused(server: ApiServer, account: Account):
    answer = ask_for_tokens(server, account.email, grant_type="client_credentials")
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("path", ["/v1/auth/register", "/v1/auth/token", "/v1/auth/refresh"])
def test_strangers_body_is_small(server: ApiServer, path: str):
    answer = server.client.post(path, content=b"x" * 20_000)
    assert_problem(answer, 413, "body-too-large", limit_bytes=16 * 1024)


def test_refresh_gives_new_tokens_and_the_old_access_token_lives_on(server: ApiServer, account: Account):
    first = log_in(server, account)
    answer = refresh(server, first.refresh_token)
    assert answer.headers["Cache-Control"] == "no-store"
    second = login_of(answer)
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    assert [status_of(server, login.headers) for login in (first, second)] == [200, 200]


def test_refresh_token_that_is_used_twice_ends_the_whole_login(server: ApiServer, account: Account):
    other = log_in(server, account)
    first = log_in(server, account)
    second = login_of(refresh(server, first.refresh_token))
    third = login_of(refresh(server, second.refresh_token))
    assert_problem(refresh(server, first.refresh_token), 401, "invalid-refresh-token")
    assert_problem(refresh(server, third.refresh_token), 401, "invalid-refresh-token")
    assert {status_of(server, login.headers) for login in (first, second, third)} == {401}
    assert status_of(server, other.headers) == 200


def test_of_parallel_refreshes_of_one_token_at_most_one_wins(server: ApiServer, account: Account):
    login = log_in(server, account)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: refresh(server, login.refresh_token), range(12)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 401}
    assert statuses[200] <= 1
    # The others looked like a thief, so the winner's tokens are over too.
    for answer in answers:
        if answer.status_code == 200:
            assert refresh(server, answer.json()["refresh_token"]).status_code == 401
            assert status_of(server, login_of(answer).headers) == 401


def test_refresh_of_a_disabled_user_is_no_reuse(
    server: ApiServer, account: Account, caplog: pytest.LogCaptureFixture
):
    login = log_in(server, account)
    server.client.patch(f"/v1/users/{account.id}", headers=ADMIN, json={"disabled": True})
    assert_problem(refresh(server, login.refresh_token), 401, "invalid-refresh-token")
    assert "refresh_token_reused" not in caplog.text


@pytest.mark.parametrize("token", ["msr_unknown", "msk_00_key", "x"])
def test_unknown_refresh_token_is_a_401(server: ApiServer, token: str):
    assert_problem(refresh(server, token), 401, "invalid-refresh-token")


def test_tokens_are_stored_hashed(server: ApiServer, account: Account, clean_backend: Backend):
    login = log_in(server, account)
    [row] = clean_backend.rows(RefreshToken)
    assert login.refresh_token not in row.token_sha256
    assert len(row.token_sha256) == 64
    [user] = [row for row in clean_backend.rows(User) if row.email]
    assert user.password_hash is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_logout_ends_access_and_refresh_tokens_at_once(server: ApiServer, account: Account):
    login, other = log_in(server, account), log_in(server, account)
    answer = server.client.post("/v1/auth/logout", headers=login.headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(server.client.get("/v1/me", headers=login.headers), 401, "invalid-credentials")
    assert refresh(server, login.refresh_token).status_code == 401
    assert status_of(server, other.headers) == 200
    assert refresh(server, other.refresh_token).status_code == 200


def test_api_key_has_no_login_to_end(server: ApiServer, owner: Owner):
    assert_problem(server.client.post("/v1/auth/logout", headers=owner.headers), 403, "not-a-login")


def test_next_login_forgets_those_that_are_over(server: ApiServer, account: Account, clean_backend: Backend):
    login = log_in(server, account)
    server.client.post("/v1/auth/logout", headers=login.headers)
    log_in(server, account)
    assert len(clean_backend.rows(LoginSession)) == 1
    assert len(clean_backend.rows(RefreshToken)) == 1


def test_access_token_is_good_in_no_other_service(server: ApiServer, account: Account):
    token = log_in(server, account).access_token
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == server.base_url
    assert claims["sub"] == account.id
    head, _, signature = token.split(".")
    forged = jwt.encode({**claims, "scope": "admin"}, b"k" * 32, headers=jwt.get_unverified_header(token))
    for bad in (f"{head}.{forged.split('.')[1]}.{signature}", forged):
        assert status_of(server, {"Authorization": f"Bearer {bad}"}) == 401
