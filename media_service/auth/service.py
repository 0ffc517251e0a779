"""What a first start makes: the first admin. API room."""

from sqlalchemy import select

from media_service.auth import queries
from media_service.auth.keys import digest_of, generate_key, key_row
from media_service.auth.models import KeyOrigin, Role, User
from media_service.auth.scopes import Scope
from media_service.database import Database
from media_service.dialects import transaction_lock
from media_service.models import new_id

FIRST_START_LOCK = 0x61646D696E
"""Any constant will do: replicas that start together must agree on one admin and one signing key."""


class AuthService:
    """Makes what is missing; replicas that start together agree on it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure_admin(self, wanted_key: str | None) -> str | None:
        """Make sure that an admin with a key exists; returns a key's text if one was just made.

        `wanted_key` is MEDIA_ADMIN_API_KEY: it becomes the key, and takes the place of one that the
        setting named before.
        """
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            admin = (await session.scalars(queries.first_admin())).first()
            if admin is None:
                admin = User(id=new_id(), role=Role.ADMIN)
                session.add(admin)
                await session.flush()
            if wanted_key is not None:
                digest = digest_of(wanted_key)
                await session.execute(
                    queries.delete_other_keys_of_origin(KeyOrigin.SETTING, keep_sha256=digest)
                )
                known = (await session.scalars(queries.key_by_digest(digest))).first()
                if known is not None and known.origin is KeyOrigin.SETTING:
                    known.owner_id = admin.id  # its owner until now may be disabled
                if known is None:
                    session.add(
                        key_row(
                            wanted_key,
                            owner_id=admin.id,
                            name="MEDIA_ADMIN_API_KEY",
                            scopes=[Scope.ADMIN],
                            origin=KeyOrigin.SETTING,
                        )
                    )
                return None
            if (await session.scalars(queries.any_key())).first() is not None:
                return None
            made = generate_key(
                owner_id=admin.id, name="first admin", scopes=[Scope.ADMIN], origin=KeyOrigin.GENERATED
            )
            session.add(made.row)
            return made.text
