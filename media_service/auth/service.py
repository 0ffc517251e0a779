"""What a first start makes: the first admin. API room."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.keys import digest_of, generate_key, key_row
from media_service.auth.models import KeyOrigin, Role, User
from media_service.auth.scopes import Scope
from media_service.database import Database
from media_service.dialects import transaction_lock
from media_service.models import new_id, utc_now

FIRST_START_LOCK = 0x61646D696E
"""Any constant will do: replicas that start together must agree on one admin and one signing key."""


class AuthService:
    """Makes what is missing; replicas that start together agree on it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure_admin(self, wanted_key: str | None) -> str | None:
        """Make sure that an admin exists who can come in; returns a key's text if one was just made.

        `wanted_key` is MEDIA_ADMIN_API_KEY: it becomes a key, and one that the setting named before ends,
        also if it names none any more.
        """
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            admin = await _first_admin(session)
            await session.execute(
                queries.delete_keys_of_origin(
                    KeyOrigin.SETTING, but_sha256=None if wanted_key is None else digest_of(wanted_key)
                )
            )
            if wanted_key is not None:
                await _give(session, admin, wanted_key)
                return None
            if await _can_come_in(session):
                return None
            made = generate_key(
                owner_id=admin.id, name="first admin", scopes=[Scope.ADMIN], origin=KeyOrigin.GENERATED
            )
            session.add(made.row)
            return made.text


async def _first_admin(session: AsyncSession) -> User:
    admin = (await session.scalars(queries.first_admin())).first()
    if admin is None:
        admin = User(id=new_id(), role=Role.ADMIN)
        session.add(admin)
        await session.flush()
    return admin


async def _give(session: AsyncSession, admin: User, key: str) -> None:
    known = (await session.scalars(queries.key_by_digest(digest_of(key)))).first()
    if known is None:
        session.add(
            key_row(
                key,
                owner_id=admin.id,
                name="MEDIA_ADMIN_API_KEY",
                scopes=[Scope.ADMIN],
                origin=KeyOrigin.SETTING,
            )
        )
    elif known.origin is KeyOrigin.SETTING:
        known.owner_id = admin.id  # its owner until now may be disabled


async def _can_come_in(session: AsyncSession) -> bool:
    """Whether some admin has a password, or a live key that is an admin's."""
    if (await session.scalars(queries.admins_with_password().limit(1))).first() is not None:
        return True
    granted = await session.scalars(queries.scopes_of_live_admin_keys(at=utc_now()))
    return any(Scope.ADMIN in scopes for scopes in granted)
