"""The rule that a service always has an admin. API room."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.models import Role, User
from media_service.dialects import transaction_lock
from media_service.exceptions import ErrorKind, MediaServiceError

ADMINS_LOCK = 0x61646D31
"""Any constant will do: two admins who demote each other at the same moment must come one after the other."""


async def user_under_lock(session: AsyncSession, user_id: UUID) -> User:
    """A user, of whom no other transaction changes role or state. Raises MediaServiceError (not found)."""
    await session.execute(select(transaction_lock(ADMINS_LOCK)))
    return found_user((await session.scalars(queries.user_for_change(user_id))).one_or_none())


async def check_not_last_admin(session: AsyncSession, user: User) -> None:
    """Raises MediaServiceError (conflict) if nobody else could let this user in again."""
    if user.role is not Role.ADMIN or user.disabled_at is not None:
        return
    if (await session.scalars(queries.other_admins(user.id).limit(1))).first() is None:
        raise last_admin()


def last_admin() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.CONFLICT,
        "last-admin",
        "This is the only enabled admin; make another one before this one is taken away.",
    )


def found_user(user: User | None) -> User:
    """Raises MediaServiceError (not found)."""
    if user is None:
        raise MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such user.")
    return user


def email_taken() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.CONFLICT, "email-taken", "Another account has this e-mail address already."
    )
