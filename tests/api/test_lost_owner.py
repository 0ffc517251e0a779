"""Uploads whose user is deleted while they are on their way: 401 wherever they are, and nothing stays."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from media_service.auth.api_keys import ApiKeys
from media_service.auth.lost_owner import needing_owner
from media_service.auth.models import Role, User
from media_service.auth.scopes import Account, Caller, Scope
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.idempotency.service import IdempotencyKeys
from media_service.models import new_id
from media_service.tables import UploadSession
from media_service.upload_tokens.service import Terms, UploadTokens
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.sessions import UploadSessions
from tests.api.test_upload_streaming import wait_until
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.raw_http import RawConnection


async def make_a_key(database: Database, caller: Caller) -> object:
    return await ApiKeys(database).create(caller, name="x", scopes=[Scope.KEYS], expires_in=None)


async def make_a_token(database: Database, caller: Caller) -> object:
    terms = Terms(None, ("*/*",), 1, None, timedelta(hours=1))
    return await UploadTokens(database, policy=UploadPolicy(1000, ("*/*",))).create(caller, terms)


MIB = 1024 * 1024
LARGE = 12 * MIB
LEASE = timedelta(seconds=0.3)


@pytest.mark.parametrize("quota_bytes", [None, 100 * MIB])
@pytest.mark.parametrize(
    ("before", "size_bytes"),
    [(5000, 9000), (5000, LARGE), (LARGE - 1, LARGE)],
    ids=["small", "early", "late"],
)
def test_upload_whose_user_is_deleted_ends_as_401(
    server: ApiServer, clean_backend: Backend, before: int, size_bytes: int, quota_bytes: int | None
):
    owner = clean_backend.add_owner(quota_bytes=quota_bytes)
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**owner.headers, "Content-Length": str(size_bytes)})
        connection.send(b"x" * before)
        wait_until(lambda: before < MIB or bool(clean_backend.rows(UploadSession)))
        wait_until(lambda: before >= MIB or bool(server.app.state.upload_memory.held_bytes))
        assert server.client.delete(f"/v1/users/{owner.id}", headers=ADMIN).status_code == 204
        connection.send(b"x" * (size_bytes - before))
        assert connection.answer().status == 401
    assert clean_backend.leftovers() == {}


def test_key_that_is_claimed_after_its_user_was_deleted_is_refused_as_401(clean_backend: Backend):
    async def scenario() -> None:
        database = Database(clean_backend.settings().effective_database_url, pool_size=2)
        keys = IdempotencyKeys(database, lease=LEASE, retention=timedelta(hours=1))
        try:
            async with keys.claim(new_id(), "a-key"):
                pass
        finally:
            await database.close()

    with pytest.raises(MediaServiceError) as caught:
        asyncio.run(scenario())
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "invalid-credentials")


def test_claim_of_a_deleted_user_holds_up_no_other(clean_backend: Backend):
    owner, waiting, lost = clean_backend.add_owner(), new_id(), new_id()

    async def scenario() -> list[object]:
        database = Database(clean_backend.settings().effective_database_url, pool_size=2)
        sessions = UploadSessions(database, lease=LEASE)
        sessions.wait_for_commit(lost, owner_id=new_id(), protocol="form")
        sessions.wait_for_commit(waiting, owner_id=owner.id, protocol="form")
        sessions.start()
        async with asyncio.timeout(20):
            while not sessions.opened([waiting]):  # noqa: ASYNC110 - the heartbeat has no event for us
                await asyncio.sleep(0.01)
        opened: list[object] = list(sessions.opened([waiting, lost]))
        await sessions.discard([waiting])
        await sessions.close()
        await database.close()
        return opened

    assert asyncio.run(scenario()) == [waiting]


@pytest.mark.parametrize("make", [make_a_key, make_a_token])
def test_credential_that_is_made_after_its_user_was_deleted_is_refused_as_401(
    clean_backend: Backend, make: Callable[[Database, Caller], Awaitable[object]]
):
    caller = Caller(new_id(), frozenset(Scope), new_id(), Account())

    async def scenario() -> None:
        database = Database(clean_backend.settings().effective_database_url, pool_size=1)
        try:
            await make(database, caller)
        finally:
            await database.close()

    with pytest.raises(MediaServiceError) as caught:
        asyncio.run(scenario())
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "invalid-credentials")


def test_only_a_missing_owner_is_taken_for_one(clean_backend: Backend):
    def insert_user() -> None:
        with needing_owner(), clean_backend.database.transaction() as session:
            # PostgreSQL quotes the value, so its words say nothing about the constraint.
            session.add(User(id=new_id(), role=Role.USER, email="foreign key@example.org"))

    insert_user()
    with pytest.raises(IntegrityError):
        insert_user()
