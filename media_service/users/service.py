"""Users as admins manage them. API room."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from media_service.auth import queries
from media_service.auth.models import Role, User
from media_service.auth.passwords import Passwords
from media_service.database import Database
from media_service.models import new_id, utc_now
from media_service.pagination import Cursor, cut_page, decode_cursor
from media_service.users.governance import check_not_last_admin, email_taken, found_user, user_under_lock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UserPage:
    users: list[User]
    next_cursor: str | None


class Users:
    """Each method is one short transaction. Whoever calls it is an admin."""

    def __init__(self, database: Database, *, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def list_page(self, *, cursor: str | None, limit: int) -> UserPage:
        """A page of all users, newest first. Raises MediaServiceError (bad cursor)."""
        after = decode_cursor(cursor)
        statement = queries.list_users(after=after.last_id if after is not None else None, limit=limit + 1)
        async with self._database.read() as session:
            users = list(await session.scalars(statement))
        return UserPage(*cut_page(users, limit, lambda user: Cursor(user.id)))

    async def get(self, user_id: UUID) -> User:
        """Raises MediaServiceError (not found)."""
        async with self._database.read() as session:
            return found_user((await session.scalars(queries.user_by_id(user_id))).one_or_none())

    async def create(
        self, email: str, password: str, *, role: Role, quota_bytes: int | None, quota_files: int | None
    ) -> User:
        """Make a user. Raises MediaServiceError (conflict) if the address has an account."""
        values: dict[str, Any] = {
            "id": new_id(),
            "email": email,
            "password_hash": await self._passwords.hash(password),
            "role": role,
            "quota_bytes": quota_bytes,
            "quota_files": quota_files,
        }
        async with self._database.transaction() as session:
            statement = queries.insert_user(session.get_bind().dialect.name, values)
            user_id = (await session.execute(statement)).scalar()
            if user_id is None:
                raise email_taken()
            user = (await session.scalars(queries.user_by_id(user_id))).one()
        log.info("user.created", user_id=str(user.id), role=role.value)
        return user

    async def change(self, user_id: UUID, changes: dict[str, Any], *, password: str | None) -> User:
        """Set any of `role`, `quota_bytes`, `quota_files` and `disabled`, and a new password.

        A disabled user's credentials stop at once. The API keys work again when the user is enabled, the
        logins do not; a new password ends the logins too. Raises MediaServiceError: not found, conflict (the
        last admin).
        """
        now = utc_now()
        new_hash = await self._passwords.hash(password) if password is not None else None
        async with self._database.transaction() as session:
            user = await user_under_lock(session, user_id)
            if changes.get("disabled") or changes.get("role", Role.ADMIN) is not Role.ADMIN:
                await check_not_last_admin(session, user)
            for name in changes.keys() & {"role", "quota_bytes", "quota_files"}:
                setattr(user, name, changes[name])
            if changes.get("disabled") is False:
                user.disabled_at = None
            elif changes.get("disabled"):
                user.disabled_at = user.disabled_at or now
            if new_hash is not None:
                user.password_hash = new_hash
            if new_hash is not None or user.disabled_at is not None:
                await session.execute(queries.revoke_sessions(user_id, at=now))
            user.updated_at = now
        log.info(
            "user.changed", user_id=str(user_id), changed=sorted(changes), new_password=new_hash is not None
        )
        return user
