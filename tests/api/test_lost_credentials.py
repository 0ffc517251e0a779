"""Uploads whose credential is revoked, or whose user is disabled, while their bytes arrive: 401."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from media_service.auth.models import ApiKey
from media_service.files.models import File
from media_service.jobs.models import Job
from tests.support.accounts import Account, Login, log_in, make_account, make_key
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.raw_http import RawConnection
from tests.support.tus import PATCH_TYPE, TusClient

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


def upload_around(
    server: ApiServer,
    headers: Headers,
    act: Callable[[], object],
    size_bytes: int,
    *,
    method: str = "POST",
    url: str = "/v1/files",
) -> int:
    """The status of an upload in two halves, with something that happens between them."""
    with RawConnection(server.port) as connection:
        head = {**headers, "Content-Length": str(size_bytes), "Expect": "100-continue"}
        connection.send_head(method, url, head)
        assert b" 100 " in connection.receive_head()  # its credential was looked at
        connection.send(b"a" * (size_bytes // 2))
        act()
        connection.send(b"b" * (size_bytes - size_bytes // 2))
        return connection.answer().status


def patch_around(server: ApiServer, headers: Headers, act: Callable[[], object], url: str) -> int:
    """The same for a resumable upload of 2000 bytes."""
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": PATCH_TYPE}
    path = url.removeprefix(server.base_url)
    return upload_around(server, {**headers, **tus}, act, 2000, method="PATCH", url=path)


@LOSSES
@pytest.mark.parametrize("size_bytes", [2000, 12 * MIB])
def test_upload_whose_credential_is_lost_is_a_401_that_leaves_nothing(
    server: ApiServer, clean_backend: Backend, lose: Loss, size_bytes: int
):
    account = make_account(server)
    headers, act = lose(server, account, log_in(server, account))
    assert upload_around(server, headers, act, size_bytes) == 401
    assert clean_backend.leftovers() == {}


@LOSSES
def test_resumable_upload_whose_credential_is_lost_becomes_no_file(
    server: ApiServer, clean_backend: Backend, lose: Loss
):
    account = make_account(server)
    headers, act = lose(server, account, log_in(server, account))
    url = TusClient(server, headers).created(2000)
    assert patch_around(server, headers, act, url) == 401
    assert (clean_backend.rows(File), clean_backend.rows(Job)) == ([], [])


def test_resumable_upload_of_a_revoked_key_is_finished_by_its_user(server: ApiServer, clean_backend: Backend):
    login = log_in(server, make_account(server))
    shown, headers = make_key(server, login.headers, "files:write")
    key = f"/v1/api-keys/{shown['id']}"
    url = TusClient(server, headers).created(2000)
    revoke = partial(server.client.delete, key, headers=login.headers)
    assert patch_around(server, headers, revoke, url) == 401
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

    assert upload_around(server, headers, expire, 2000) == 201
