"""The secrets of access tokens, read from the database and kept for a while. API room.

They live in the database, so that every API process signs and verifies alike.
"""

import secrets
import time
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.models import TokenKey
from media_service.auth.service import FIRST_START_LOCK
from media_service.database import Database
from media_service.dialects import transaction_lock
from media_service.models import utc_now

SECRET_BYTES = 32
"""RFC 7518 §3.2: a key of HS256 has at least the 256 bits of its hash."""
REREAD_SECONDS = 60.0
"""How long a process may go without noticing that keys were rotated, or revoked, by another one."""
UNKNOWN_REREAD_SECONDS = 1.0
"""The same for a token that names an unknown key; longer than no time, or made-up keys would each ask the
database."""


class TokenKeyring:
    """Gives the key that signs and those that verify. `lifetime` is that of the tokens."""

    def __init__(self, database: Database, *, lifetime: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime
        self._keys: dict[str, bytes] = {}
        self._read_at = float("-inf")

    async def signing_key(self) -> tuple[str, bytes]:
        """The id and the secret of the newest key; the first one is made when it is first needed."""
        if self._is_older_than(REREAD_SECONDS):
            await self._read()
        return next(iter(self._keys.items()))

    async def secret_of(self, kid: str) -> bytes | None:
        """The secret of a key, or None if there is none of this id."""
        if self._is_older_than(REREAD_SECONDS if kid in self._keys else UNKNOWN_REREAD_SECONDS):
            await self._read()
        return self._keys.get(kid)

    async def rotate(self, *, revoke_old: bool = False) -> None:
        """Make a new key that signs from now on.

        The old ones go on verifying for as long as a token of theirs may live. `revoke_old` ends them at
        once, and every access token with them (a refresh gives new ones): for a secret that got out. Other
        processes follow within REREAD_SECONDS.
        """
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            rows = list(await session.scalars(queries.token_keys()))
            past = [row.kid for row in rows] if revoke_old else self._superseded(rows)
            await session.execute(queries.delete_token_keys(past))
            _add_key(session)
        await self._read()

    def _superseded(self, rows: list[TokenKey]) -> list[str]:
        """Those keys that signed no token which could still be alive: a younger key is old enough itself."""
        slack = timedelta(seconds=2 * REREAD_SECONDS)
        long_ago = utc_now() - self._lifetime - slack
        old = [row.kid for row in rows if row.created_at < long_ago]
        return old[1:]

    async def _read(self) -> None:
        async with self._database.read() as session:
            rows = list(await session.scalars(queries.token_keys()))
        if not rows:
            rows = await self._make_first()
        self._keys = {row.kid: row.secret for row in rows}
        self._read_at = time.monotonic()

    async def _make_first(self) -> list[TokenKey]:
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            rows = list(await session.scalars(queries.token_keys()))
            return rows or [_add_key(session)]

    def _is_older_than(self, seconds: float) -> bool:
        return time.monotonic() - self._read_at >= seconds


def _add_key(session: AsyncSession) -> TokenKey:
    key = TokenKey(kid=secrets.token_hex(4), secret=secrets.token_bytes(SECRET_BYTES))
    session.add(key)
    return key
