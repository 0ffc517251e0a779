"""Uploads whose credential is revoked or whose user is disabled while bytes arrive: they end as 401."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from media_service.auth.models import ApiKey
from media_service.files.models import File
from media_service.jobs.models import Job
from tests.support.accounts import Account, Login, log_in, make_account, make_key
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.problems import assert_problem
from tests.support.tus import TusClient

MIB = 1024 * 1024

Headers = dict[str, str]
Loss = Callable[[ApiServer, Account, Login], tuple[Headers, Callable[[], object]]]
"""Makes a credential, and says how it is lost."""


def revoked_key(server: ApiServer, account: Account, login: Login) -> tuple[Headers, Callable[[], object]]:
    shown, headers = make_key(server, login.headers, "files:write")
    return headers, lambda: server.client.delete(f"/v1/api-keys/{shown['id']}", headers=login.headers)


def ended_login(server: ApiServer, account: Account, login: Login) -> tuple[Headers, Callable[[], object]]:
    return login.headers, lambda: server.client.post("/v1/auth/logout", headers=login.headers)


def disabled_user(server: ApiServer, account: Account, login: Login) -> tuple[Headers, Callable[[], object]]:
    _, headers = make_key(server, login.headers, "files:write")
    change = {"disabled": True}
    return headers, lambda: server.client.patch(f"/v1/users/{account.id}", headers=ADMIN, json=change)


LOSSES = pytest.mark.parametrize("lose", [revoked_key, ended_login, disabled_user])


def body_around(act: Callable[[], object], size_bytes: int) -> Iterator[bytes]:
    """Two halves of a body, with something that happens between them."""
    yield b"a" * (size_bytes // 2)
    act()
    yield b"b" * (size_bytes // 2)


@LOSSES
@pytest.mark.parametrize("size_bytes", [2000, 12 * MIB])
def test_upload_whose_credential_is_lost_is_a_401_that_leaves_nothing(
    server: ApiServer, clean_backend: Backend, lose: Loss, size_bytes: int
):
    account = make_account(server)
    headers, act = lose(server, account, log_in(server, account))
    answer = server.client.post("/v1/files", headers=headers, content=body_around(act, size_bytes))
    assert_problem(answer, 401, "invalid-credentials")
    assert clean_backend.leftovers() == {}


@LOSSES
def test_resumable_upload_whose_credential_is_lost_becomes_no_file(
    server: ApiServer, clean_backend: Backend, lose: Loss
):
    account = make_account(server)
    headers, act = lose(server, account, log_in(server, account))
    tus = TusClient(server, headers)
    url = tus.created(2000)
    assert_problem(tus.patch(url, 0, body_around(act, 2000)), 401, "invalid-credentials")
    assert (clean_backend.rows(File), clean_backend.rows(Job)) == ([], [])


def test_resumable_upload_of_a_revoked_key_is_finished_by_its_user(server: ApiServer, clean_backend: Backend):
    login = log_in(server, make_account(server))
    shown, headers = make_key(server, login.headers, "files:write")
    key = f"/v1/api-keys/{shown['id']}"
    url = TusClient(server, headers).created(2000)
    body = body_around(lambda: server.client.delete(key, headers=login.headers), 2000)
    assert TusClient(server, headers).patch(url, 0, body).status_code == 401
    mine = TusClient(server, login.headers)
    offset = mine.offset(url)
    answer = mine.patch(url, offset, b"c" * (2000 - offset))
    assert answer.status_code == 204
    assert [str(row.id) for row in clean_backend.rows(File)] == [answer.headers["X-File-Id"]]


def test_upload_that_began_before_its_key_expired_ends_well(server: ApiServer, clean_backend: Backend):
    shown, headers = make_key(server, log_in(server, make_account(server)).headers, "files:write")

    def expire() -> None:
        with clean_backend.database.transaction() as session:
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.get_one(ApiKey, UUID(shown["id"])).expires_at = past

    answer = server.client.post("/v1/files", headers=headers, content=body_around(expire, 2000))
    assert answer.status_code == 201
