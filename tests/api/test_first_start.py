"""Several processes of one service that start for the first time at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update

from media_service.auth.keyring import Keyring
from media_service.auth.models import ApiKey, KeyOrigin, Role, SigningKey, User
from media_service.auth.service import AuthService
from media_service.auth.signing import MAX_URL_LIFETIME, UrlSigner
from media_service.database import Database
from media_service.models import new_id, utc_now
from tests.support.backends import Backend

REPLICAS = 4
KEY = "a-key-that-a-setting-names"


def test_replicas_that_start_together_agree_on_one_admin_and_one_signing_key(backend: Backend):
    url = backend.new_database()

    async def scenario() -> tuple[list[str | None], list[str]]:
        databases = [Database(url, pool_size=2) for _ in range(REPLICAS)]
        services = [AuthService(database) for database in databases]
        made = await asyncio.gather(*(service.ensure_admin(None) for service in services))
        keyrings = [Keyring(database, SigningKey, lifetime=MAX_URL_LIFETIME) for database in databases]
        keys = await asyncio.gather(*(keyring.keys() for keyring in keyrings))
        path = f"/v1/signed/files/{new_id()}/content"
        signed = [UrlSigner(some).sign(path, {}, expires_at=1, epoch=0) for some in keys]
        for database in databases:
            await database.close()
        return made, signed

    made, signed = asyncio.run(scenario())
    assert len([key for key in made if key is not None]) == 1
    assert len(set(signed)) == 1


def test_key_of_the_setting_moves_to_an_enabled_admin_at_the_next_start(backend: Backend):
    url = backend.new_database()

    async def scenario() -> None:
        database = Database(url, pool_size=2)
        service = AuthService(database)
        await service.ensure_admin(KEY)
        second = User(id=new_id(), role=Role.ADMIN)
        async with database.transaction() as session:
            await session.execute(update(User).values(disabled_at=utc_now()))
            session.add(second)
        await service.ensure_admin(KEY)
        async with database.read() as session:
            owners = list(await session.scalars(select(ApiKey.owner_id)))
        await database.close()
        assert owners == [second.id]

    asyncio.run(scenario())


Start = Callable[[str | None], Awaitable[str | None]]


def on_a_new_database(backend: Backend, scenario: Callable[[Database, Start], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(backend.new_database(), pool_size=REPLICAS)
        try:
            await scenario(database, AuthService(database).ensure_admin)
        finally:
            await database.close()

    asyncio.run(run())


async def keys_of(database: Database) -> list[KeyOrigin]:
    async with database.read() as session:
        return list(await session.scalars(select(ApiKey.origin)))


def test_key_of_a_setting_ends_when_the_setting_is_taken_away_and_one_new_key_is_made(backend: Backend):
    async def scenario(database: Database, start: Start) -> None:
        assert await start(KEY) is None
        made = await asyncio.gather(*(start(None) for _ in range(REPLICAS)))
        assert len([key for key in made if key is not None]) == 1
        assert await keys_of(database) == [KeyOrigin.GENERATED]
        assert await start(None) is None
        assert await start(KEY) is None
        assert await start(None) is None  # the printed one is still there

    on_a_new_database(backend, scenario)


def test_no_key_is_made_for_an_admin_who_can_log_in(backend: Backend):
    async def scenario(database: Database, start: Start) -> None:
        await start(KEY)
        async with database.transaction() as session:
            await session.execute(update(User).values(email="a@example.org", password_hash="x"))
        assert await start(None) is None
        assert await keys_of(database) == []

    on_a_new_database(backend, scenario)


@pytest.mark.parametrize(
    "values",
    [
        {"revoked_at": utc_now()},
        {"expires_at": utc_now()},
        {"scopes": ["files:read", "keys"]},
    ],
    ids=["revoked", "expired", "narrow"],
)
def test_new_key_is_made_where_no_admin_has_one_that_is_good(backend: Backend, values: dict[str, object]):
    async def scenario(database: Database, start: Start) -> None:
        assert await start(None) is not None
        async with database.transaction() as session:
            await session.execute(update(ApiKey).values(**values))
        assert await start(None) is not None
        assert await start(None) is None

    on_a_new_database(backend, scenario)
