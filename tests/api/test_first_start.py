"""Several processes of one service that start for the first time at once."""

import asyncio

from sqlalchemy import select, update

from media_service.auth.keyring import Keyring
from media_service.auth.models import ApiKey, Role, SigningKey, User
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
