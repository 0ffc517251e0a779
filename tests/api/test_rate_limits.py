"""Limits as clients meet them: who is counted, what the answers say, and what happens without Redis.

The servers believe `X-Forwarded-For`, so that each test comes from addresses of its own.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import http_sf
import httpx2
import pytest
import redis
from sqlalchemy import event

from media_service.auth.issued_keys import PAUSE_SECONDS
from media_service.auth.models import Role, User
from media_service.files.models import File
from media_service.models import new_id, utc_now
from tests.support import images
from tests.support.accounts import (
    PASSWORD,
    Account,
    log_in,
    login_of,
    make_key,
    make_upload_token,
    refresh,
)
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.logs import lines_of, written_log
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

AN_HOUR = {"limit": 5, "window_seconds": 3600}

# By the hour, so that no test sees the end of a window; with patience for a busy machine.
SETTINGS = {
    "rate_limits": True,
    "rate_limit_patience": 20,
    "trusted_proxies": "127.0.0.0/8",
    "rate_limit_read": "5/hour",
    "rate_limit_content": "5/hour",
    "rate_limit_write": "5/hour",
    "rate_limit_upload": "5/hour",
    "rate_limit_sign": "5/hour",
    "rate_limit_login": "8/hour",
    "rate_limit_password": "5/hour",
    "rate_limit_account": "7/hour",
    "rate_limit_register": "5/hour",
    "rate_limit_credentials": "5/hour",
    "allow_registration": True,
}

WRONG = "wrong password"
GUESS = {"email": "thief@example.org", "current_password": "guess"}

_numbers = itertools.count(1)


def new_address() -> dict[str, str]:
    """The header of somebody who was never here."""
    number = next(_numbers)
    return {"X-Forwarded-For": f"198.18.{number // 250}.{number % 250 + 1}"}


@pytest.fixture(scope="module")
def limited_server(backend: Backend) -> Iterator[ApiServer]:
    with ApiServer(backend.settings, **_on_an_empty_redis(backend)) as server:
        yield server


def _on_an_empty_redis(backend: Backend) -> dict[str, Any]:
    """A database of the server that nothing else uses; what an earlier run of this module counted is gone."""
    url = backend.values["redis_url"].replace("db=0", "db=9")
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
    return {**SETTINGS, "redis_url": url}


@pytest.fixture
def limited(limited_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return limited_server


@pytest.fixture
def owner(limited: ApiServer, clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()


def fields(answer: httpx2.Response) -> dict[str, dict[str, Any]]:
    """Both header fields as a parser of structured fields reads them, by policy."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("RateLimit", "RateLimit-Policy"):
        items = cast("Any", http_sf.parse(answer.headers[name].encode(), tltype="list"))
        for policy, parameters in items:
            found.setdefault(policy, {}).update(parameters)
    return found


def upload(server: ApiServer, headers: dict[str, str]) -> str:
    answer = server.client.post("/v1/files", headers=headers, files={"file": ("a.jpg", images.jpeg(8, 8))})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["items"][0]["id"])


def wait_of(answer: httpx2.Response) -> int:
    return int(answer.headers["Retry-After"])


def attempt(server: ApiServer, name: str, address: dict[str, str], password: str = WRONG) -> httpx2.Response:
    form = {"grant_type": "password", "username": name, "password": password}
    return server.client.post("/v1/auth/token", data=form, headers=address)


def test_every_answer_says_what_remains(limited: ApiServer, owner: Owner):
    file_id = upload(limited, owner.headers)
    asked = [
        limited.client.get(f"/v1/files/{file_id}", headers=owner.headers),
        limited.client.head(f"/v1/files/{file_id}", headers=owner.headers),
        limited.client.get(f"/v1/files/{new_id()}", headers=owner.headers),
        limited.client.get("/v1/files?limit=0", headers=owner.headers),
    ]
    assert [answer.status_code for answer in asked] == [200, 200, 404, 422]
    for number, answer in enumerate(asked):
        found = fields(answer)["read"]
        assert (found["q"], found["w"], found["r"]) == (5, 3600, 4 - number)
        assert 0 < found["t"] <= 3600


def test_bytes_redirects_and_conditional_answers_say_it_too(limited: ApiServer, owner: Owner):
    path = f"/v1/files/{upload(limited, owner.headers)}"
    whole = limited.client.get(f"{path}/content", headers=owner.headers)
    same = {**owner.headers, "If-None-Match": whole.headers["ETag"]}
    asked = [
        whole,
        limited.client.get(f"{path}/content", headers=same),
        limited.client.head(f"{path}/content", headers=owner.headers),
        limited.client.get(f"{path}/download", headers=owner.headers, follow_redirects=False),
    ]
    assert [answer.status_code for answer in asked] == [200, 304, 200, 307]
    assert [fields(answer)["content"]["r"] for answer in asked] == [4, 3, 2, 1]


def test_request_that_is_too_many_is_a_problem_that_a_program_can_act_on(limited: ApiServer, owner: Owner):
    for _ in range(5):
        assert limited.client.get("/v1/files", headers=owner.headers).status_code == 200
    answer = limited.client.get("/v1/files", headers=owner.headers)
    problem = assert_problem(answer, 429, "rate-limited", policy="read", **AN_HOUR)
    assert problem["retry_after_seconds"] == wait_of(answer)
    assert 0 < wait_of(answer) <= 3600 * 1.2
    assert fields(answer) == {"read": {"q": 5, "w": 3600, "r": 0, "t": wait_of(answer)}}
    # Other classes of routes go on.
    assert limited.client.get(f"/v1/files/{new_id()}/url", headers=owner.headers).status_code == 404


def test_each_credential_counts_for_itself_wherever_it_comes_from(limited: ApiServer, owner: Owner):
    _, other = make_key(limited, ADMIN, "files:read")
    for number in range(5):
        address = {"X-Forwarded-For": f"203.0.113.{number}"}
        assert limited.client.get("/v1/files", headers=owner.headers | address).status_code == 200
    assert limited.client.get("/v1/files", headers=owner.headers).status_code == 429
    assert limited.client.get("/v1/files", headers=other).status_code == 200


def test_strangers_count_by_their_address_and_of_ipv6_by_their_network(limited: ApiServer):
    path = f"/v1/files/{new_id()}/content"
    for number in range(5):
        address = {"X-Forwarded-For": f"2001:db8:1:2::{number}"}
        assert limited.client.get(path, headers=address).status_code == 401
    neighbours, others = ({"X-Forwarded-For": f"2001:db8:1:{net}::7"} for net in (2, 3))
    assert_problem(limited.client.get(path, headers=neighbours), 429, "rate-limited", policy="content")
    assert limited.client.get(path, headers=others).status_code == 401


def test_signed_urls_count_by_address(limited: ApiServer, owner: Owner):
    file_id = upload(limited, owner.headers)
    url = limited.client.get(f"/v1/files/{file_id}/url", headers=owner.headers).json()["url"]
    address = new_address()
    statuses = [limited.client.get(url, headers=address).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert limited.client.get(url, headers=new_address()).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "policy"),
    [("POST", "/v1/files", "upload"), ("POST", "/v1/urls", "sign"), ("PATCH", "/v1/files/{id}", "write")],
)
def test_refusal_comes_before_the_body(
    limited: ApiServer, owner: Owner, method: str, path: str, policy: str, clean_backend: Backend
):
    path = path.format(id=new_id())
    for _ in range(5):
        assert limited.client.request(method, path, headers=owner.headers).status_code in {201, 422}
    files = len(clean_backend.rows(File))
    with RawConnection(limited.port) as connection:
        connection.send_head(method, path, {**owner.headers, "Content-Length": "1000000"})
        answer = connection.answer()
        assert (answer.status, answer.getheader("Connection")) == (429, "close")
        assert policy in answer.read().decode()
    assert len(clean_backend.rows(File)) == files


def test_strangers_bodies_are_not_read_beyond_the_limit(limited: ApiServer):
    address = new_address()
    for _ in range(8):
        attempt(limited, f"{new_id()}@example.org", address)
    with RawConnection(limited.port) as connection:
        connection.send_head("POST", "/v1/auth/token", {**address, "Content-Length": "100"})
        assert connection.answer().status == 429


def test_processes_share_one_count(limited: ApiServer, owner: Owner, clean_backend: Backend):
    changes = {**SETTINGS, "redis_url": limited.settings.redis_url}
    with ApiServer(clean_backend.settings, **changes) as other:
        servers = [limited, other] * 4
        answers = [server.client.get("/v1/files", headers=owner.headers) for server in servers]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert [fields(answer)["read"]["r"] for answer in answers[:5]] == [4, 3, 2, 1, 0]


def test_wrong_credentials_are_limited_and_good_ones_from_the_same_address_go_on(
    limited: ApiServer, owner: Owner
):
    address = new_address()
    assert limited.client.get("/v1/me", headers=owner.headers | address).status_code == 200

    def guess() -> httpx2.Response:
        return limited.client.get("/v1/me", headers={"X-API-Key": f"msk_{new_id()}", **address})

    for _ in range(5):
        assert_problem(guess(), 401, "invalid-credentials")
    refused = guess()
    assert_problem(refused, 429, "rate-limited", policy="credentials", **AN_HOUR)
    assert fields(refused)["credentials"]["r"] == 0
    assert limited.client.get("/v1/me", headers=owner.headers | address).status_code == 200


def shut(server: ApiServer, address: dict[str, str]) -> None:
    """Somebody at this address sends too many wrong keys."""
    guesses = [{"X-API-Key": f"msk_{new_id()}", **address} for _ in range(6)]
    statuses = [server.client.get("/v1/me", headers=guess).status_code for guess in guesses]
    assert statuses == [401] * 5 + [429]


def statements_of(server: ApiServer) -> list[str]:
    """What is asked of the database from here on."""
    found: list[str] = []

    def note(*about: Any) -> None:
        if about[2].startswith("SELECT"):
            found.append(about[2])

    event.listen(
        server.app.state.identity._database._threads._database._engine, "before_cursor_execute", note
    )
    return found


def test_credentials_that_were_never_used_are_good_at_an_address_of_guesses(
    limited: ApiServer, owner: Owner, account: Account
):
    login = log_in(limited, account)
    _, upload_token = make_upload_token(limited, login.headers)
    address = new_address()
    shut(limited, address)
    refreshed = login_of(refresh(limited, login.refresh_token))
    for headers in (owner.headers, login.headers, refreshed.headers):
        assert limited.client.get("/v1/me", headers=headers | address).status_code == 200
    uploaded = limited.client.post("/v1/files", headers=upload_token | address, content=b"x")
    assert uploaded.status_code == 201


def test_made_up_credentials_beyond_the_limit_cost_the_database_next_to_nothing(limited: ApiServer):
    address = new_address()
    shut(limited, address)
    statements = statements_of(limited)

    def guess(_: int) -> int:
        headers = {"X-API-Key": f"msk_{new_id()}", **address}
        return limited.client.get("/v1/me", headers=headers).status_code

    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(guess, range(96))) == {429}
    assert 1 <= len(statements) <= 2 + (time.monotonic() - started) / PAUSE_SECONDS


def test_forged_token_at_an_address_of_guesses_is_a_401_without_a_look(limited: ApiServer, account: Account):
    login = log_in(limited, account)
    address = new_address()
    shut(limited, address)
    statements = statements_of(limited)
    head, body, signature = login.access_token.split(".")
    for forged in (f"{head}.{body}.{signature[::-1]}", f"{head}.{body[::-1]}.{signature}"):
        headers = {"Authorization": f"Bearer {forged}", **address}
        assert_problem(limited.client.get("/v1/me", headers=headers), 401, "invalid-credentials")
    assert statements == []


def test_credential_that_ended_a_moment_ago_is_a_401_at_an_address_of_guesses(
    limited: ApiServer, account: Account
):
    login, address = log_in(limited, account), new_address()
    shut(limited, address)
    assert limited.client.post("/v1/auth/logout", headers=login.headers | address).status_code == 204
    answer = limited.client.get("/v1/me", headers=login.headers | address)
    assert_problem(answer, 401, "invalid-credentials")


@pytest.mark.parametrize("kind", ["key", "login"])
def test_credential_that_ended_has_few_looks_at_an_address_of_guesses(
    limited: ApiServer, clean_backend: Backend, account: Account, kind: str
):
    if kind == "key":
        headers = clean_backend.add_owner(revoked_at=utc_now()).headers
    else:
        headers = log_in(limited, account).headers
        assert limited.client.post("/v1/auth/logout", headers=headers).status_code == 204
    # Not taken for a good one any more.
    assert limited.client.get("/v1/me", headers=headers | new_address()).status_code == 401
    address = new_address()
    shut(limited, address)
    statuses = [limited.client.get("/v1/me", headers=headers | address).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2


@pytest.fixture
def account(limited: ApiServer, clean_backend: Backend) -> Account:
    """Made by an admin whose key was not counted before."""
    admin = clean_backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    body = {"email": f"{new_id()}@example.org", "password": PASSWORD}
    answer = limited.client.post("/v1/users", headers=admin.headers, json=body)
    return Account(answer.json()["id"], answer.json()["email"])


def test_one_address_cannot_try_one_password_at_many_accounts(limited: ApiServer):
    address = new_address()
    answers = [attempt(limited, f"{number}@example.org", address) for number in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429]
    assert_problem(answers[-1], 429, "rate-limited", policy="login", limit=8)
    assert attempt(limited, "9@example.org", new_address()).status_code == 401


@pytest.mark.parametrize("exists", [True, False])
def test_one_address_cannot_try_many_passwords_at_one_account_whether_or_not_it_exists(
    limited: ApiServer, account: Account, *, exists: bool
):
    name = account.email if exists else f"{new_id()}@example.org"
    address = new_address()
    answers = [attempt(limited, name, address) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert_problem(answers[-1], 429, "rate-limited", policy="password", **AN_HOUR)
    # Another spelling is no other account.
    assert attempt(limited, f" {name.upper()} ", address).status_code == 429


@pytest.mark.parametrize("exists", [True, False])
def test_many_addresses_together_cannot_try_many_passwords_at_one_account(
    limited: ApiServer, account: Account, *, exists: bool
):
    name = account.email if exists else f"{new_id()}@example.org"
    answers = [attempt(limited, name, new_address()) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 7 + [429]
    assert_problem(answers[-1], 429, "rate-limited", policy="account", limit=7)


def test_attack_from_everywhere_does_not_lock_the_owner_out_where_they_were_before(
    limited: ApiServer, account: Account
):
    home = new_address()
    assert attempt(limited, account.email, home, PASSWORD).status_code == 200
    for _ in range(10):
        attempt(limited, account.email, new_address())
    assert attempt(limited, account.email, new_address(), PASSWORD).status_code == 429
    assert attempt(limited, account.email, home, PASSWORD).status_code == 200


def test_parallel_attempts_are_all_counted(limited: ApiServer, account: Account):
    address = new_address()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: attempt(limited, account.email, address), range(20)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {401: 5, 429: 15}


def test_registrations_are_limited_by_address(limited: ApiServer, clean_backend: Backend):
    address = new_address()

    def register() -> int:
        body = {"email": f"{new_id()}@example.org", "password": PASSWORD}
        return limited.client.post("/v1/auth/register", json=body, headers=address).status_code

    assert [register() for _ in range(6)] == [201] * 5 + [429]
    assert len([user for user in clean_backend.rows(User) if user.email]) == 5


def test_stolen_token_gives_few_guesses_at_the_password(limited: ApiServer, account: Account):
    login = attempt(limited, account.email, new_address(), PASSWORD).json()
    others = attempt(limited, account.email, new_address(), PASSWORD).json()
    answers = []
    for tokens in (*[login] * 4, *[others] * 4):
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        answers.append(limited.client.patch("/v1/me", headers=headers, json=GUESS))
    assert [answer.status_code for answer in answers] == [403] * 7 + [429]
    assert_problem(answers[-1], 429, "rate-limited", policy="account")


def test_guesses_with_one_stolen_login_do_not_keep_the_owner_from_changing_the_password(
    limited: ApiServer, account: Account
):
    stolen = attempt(limited, account.email, new_address(), PASSWORD).json()
    mine = attempt(limited, account.email, new_address(), PASSWORD).json()
    headers = {"Authorization": f"Bearer {stolen['access_token']}"}
    statuses = [limited.client.patch("/v1/me", headers=headers, json=GUESS).status_code for _ in range(6)]
    assert statuses == [403] * 5 + [429]
    change = {"password": "another battery staple", "current_password": PASSWORD}
    headers = {"Authorization": f"Bearer {mine['access_token']}"}
    assert limited.client.patch("/v1/me", headers=headers, json=change).status_code == 200


def test_names_typed_at_the_login_do_not_keep_a_user_from_changing_the_password(
    limited: ApiServer, account: Account
):
    mine = attempt(limited, account.email, new_address(), PASSWORD).json()
    for _ in range(8):
        attempt(limited, account.id, new_address())
    change = {"password": "another battery staple", "current_password": PASSWORD}
    headers = {"Authorization": f"Bearer {mine['access_token']}"}
    assert limited.client.patch("/v1/me", headers=headers, json=change).status_code == 200


def test_what_watches_the_service_is_not_limited(limited: ApiServer):
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/problems/rate-limited"):
        answers = [limited.client.get(path) for _ in range(7)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit" not in answers[0].headers


def test_pages_of_other_origins_can_read_a_refusal(clean_backend: Backend):
    origin = {"Origin": "https://app.example.org"}
    settings = _on_an_empty_redis(clean_backend)
    changes = {**settings, "cors_origins": origin["Origin"], "rate_limit_read": "1/hour"}
    owner = clean_backend.add_owner()
    with ApiServer(clean_backend.settings, **changes) as server:
        server.client.get("/v1/files", headers=owner.headers)
        answer = server.client.get("/v1/files", headers=owner.headers | origin)
    assert answer.status_code == 429
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert all(name in exposed for name in ("RateLimit", "RateLimit-Policy", "Retry-After"))


def test_without_redis_known_clients_pass_uncounted_logins_are_limited_and_the_log_says_so_once(
    clean_backend: Backend,
):
    owner = clean_backend.add_owner()
    nowhere = f"unix://{clean_backend.values['data_dir']}/no.sock?db=0"
    changes = {**SETTINGS, "redis_url": nowhere}
    with written_log() as log, ApiServer(clean_backend.settings, **changes) as server:
        answers = [server.client.get("/v1/files", headers=owner.headers) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit" not in answers[0].headers
        address = new_address()
        statuses = [attempt(server, "anna@example.org", address).status_code for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        guesses = [{"X-API-Key": f"msk_{new_id()}", **address} for _ in range(7)]
        statuses = [server.client.get("/v1/me", headers=guess).status_code for guess in guesses]
        assert statuses == [401] * 5 + [429] * 2
    events = Counter(line["event"] for line in lines_of(log))
    assert events["rate_limits.redis_away"] == 1
