"""API keys that users make for their programs. API room."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.keys import NewKey, generate_key
from media_service.auth.lost_owner import owner_lost
from media_service.auth.models import ApiKey, KeyOrigin
from media_service.auth.scopes import Caller, Scope, missing_scope
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import utc_now
from media_service.pagination import Cursor, cut_page, decode_cursor

log = structlog.get_logger(__name__)

MAX_KEYS = 100
"""Live ones of one user. Each has rate limits of its own, so more let one user ask that much more; fewer
stand in the way of who has a key for each program and machine."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    keys: list[ApiKey]
    next_cursor: str | None


class ApiKeys:
    """Each method is one short transaction. "Not yours" and "not there" are one answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, caller: Caller, *, name: str, scopes: Iterable[Scope], expires_in: timedelta | None
    ) -> NewKey:
        """A key of the caller's, with its text, which is not to be had again.

        Raises MediaServiceError: forbidden for a scope that the caller's own credential lacks, unprocessable
        for a key that would outlive it: else a narrow key could make itself a wide one, and one that ends an
        endless one. Conflict if the caller has too many keys; unauthenticated if the user was deleted
        meanwhile.
        """
        wanted, now = sorted(set(scopes)), utc_now()
        expires_at = now + expires_in if expires_in is not None else None
        for scope in wanted:
            if not caller.has(scope):
                raise missing_scope(scope)
        _check_expiry(caller, expires_at)
        made = generate_key(
            owner_id=caller.owner_id,
            name=name,
            scopes=[scope.value for scope in wanted],
            origin=KeyOrigin.API,
        )
        made.row.expires_at = expires_at
        async with self._database.transaction() as session:
            await _check_room(session, caller.owner_id, at=now)
            session.add(made.row)
        log.info("api_key.created", key_id=str(made.row.id), owner_id=str(caller.owner_id), scopes=wanted)
        return made

    async def list_page(self, caller: Caller, *, cursor: str | None, limit: int) -> KeyPage:
        """A page of the caller's own keys, newest first. Raises MediaServiceError (bad cursor)."""
        after = decode_cursor(cursor)
        statement = queries.list_keys(
            caller.owner_id, after=after.last_id if after is not None else None, limit=limit + 1
        )
        async with self._database.read() as session:
            keys = list(await session.scalars(statement))
        return KeyPage(*cut_page(keys, limit, lambda key: Cursor(key.id)))

    async def revoke(self, key_id: UUID, caller: Caller) -> None:
        """End a key at once; an admin may end anybody's.

        Raises MediaServiceError: not found; conflict for the key that a setting names, which would be back at
        the next start.
        """
        async with self._database.transaction() as session:
            key = (await session.scalars(queries.key_for_change(key_id))).one_or_none()
            if key is None or not caller.may_see(key.owner_id):
                raise MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such API key.")
            if key.origin is KeyOrigin.SETTING:
                raise MediaServiceError(
                    ErrorKind.CONFLICT,
                    "key-of-a-setting",
                    "This key is the setting MEDIA_ADMIN_API_KEY; change or remove that and start anew.",
                )
            key.revoked_at = utc_now()
        log.info("api_key.revoked", key_id=str(key_id))


def _check_expiry(caller: Caller, expires_at: datetime | None) -> None:
    latest = caller.expires_at
    if latest is None or (expires_at is not None and expires_at <= latest):
        return
    raise MediaServiceError(
        ErrorKind.UNPROCESSABLE,
        "key-outlives-maker",
        "A key that is made by a key which expires has to expire no later; see 'latest'.",
        latest=latest.isoformat(),
    )


async def _check_room(session: AsyncSession, owner_id: UUID, *, at: datetime) -> None:
    """Of requests at once each sees what those before it made: the row of the user is locked."""
    if (await session.scalars(queries.user_for_change(owner_id))).one_or_none() is None:
        raise owner_lost()
    if (await session.scalars(queries.count_live_keys(owner_id, at=at))).one() >= MAX_KEYS:
        raise MediaServiceError(
            ErrorKind.CONFLICT,
            "too-many-keys",
            f"A user may have {MAX_KEYS} API keys at a time; delete those that are not used.",
            limit=MAX_KEYS,
        )
