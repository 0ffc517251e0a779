"""The secrets that sign access tokens and URLs, read from the database and kept for a while. API room.

They live in the database, so that every API process signs and verifies alike.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.models import KeptSecret
from media_service.auth.service import FIRST_START_LOCK
from media_service.database import Database
from media_service.dialects import transaction_lock
from media_service.models import utc_now

SECRET_BYTES = 32
"""RFC 7518 §3.2: a key of HS256 has at least the 256 bits of its hash."""
REREAD_SECONDS = 60.0
"""How long a process may go without noticing that keys were rotated, or revoked, by another one."""
UNKNOWN_PAUSE_SECONDS = 0.25
"""Between two looks for keys that this process does not know. Whoever brings one waits for the next look, so
that what a new key signed is good at once everywhere; and made-up keys cost four statements a second at most,
however many they are."""


class Keyring:
    """Gives the keys of one table: the newest signs, all verify.

    `lifetime` is the longest that anything lives which they sign.
    """

    def __init__(self, database: Database, table: type[KeptSecret], *, lifetime: timedelta) -> None:
        self._database = database
        self._table = table
        self._lifetime = lifetime
        self._keys: dict[str, bytes] = {}
        self._looked_at = float("-inf")
        self._read_at = float("-inf")
        self._next_look: asyncio.Task[None] | None = None

    async def keys(self, kid: str | None = None) -> Mapping[str, bytes]:
        """All secrets by their ids, the one that signs first; the first of all is made when it is needed.

        With a `kid` that this process does not know yet, as they are in the database now.
        """
        if time.monotonic() - self._read_at >= REREAD_SECONDS:
            await self._look(pause=0)
        elif kid is not None and kid not in self._keys:
            await self._look(pause=UNKNOWN_PAUSE_SECONDS)
        return self._keys

    async def signing_key(self) -> tuple[str, bytes]:
        """The id and the secret of the newest key."""
        return next(iter((await self.keys()).items()))

    async def secret_of(self, kid: str) -> bytes | None:
        """The secret of a key, or None if there is none of this id."""
        return (await self.keys(kid)).get(kid)

    async def rotate(self, *, revoke_old: bool = False) -> None:
        """Make a new key that signs from now on.

        The old ones go on verifying for as long as anything they signed may live; the rotations after that
        drop them. `revoke_old` ends them at once, with all that they signed: for a secret that got out.
        Other processes follow within REREAD_SECONDS.
        """
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            rows = list(await session.scalars(queries.kept_secrets(self._table)))
            past = [row.kid for row in rows] if revoke_old else self._superseded(rows)
            await session.execute(queries.delete_secrets(self._table, past))
            self._add_key(session)
        await self._read()

    def _superseded(self, rows: Sequence[KeptSecret]) -> list[str]:
        """Those keys that signed nothing which could still be alive: a younger key is old enough itself."""
        slack = timedelta(seconds=2 * REREAD_SECONDS)
        long_ago = utc_now() - self._lifetime - slack
        old = [row.kid for row in rows if row.created_at < long_ago]
        return old[1:]

    def _look(self, *, pause: float) -> Awaitable[None]:
        """Read the keys, once for all who ask at the same time, and `pause` after the last look."""
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._read_after(pause))
        return asyncio.shield(self._next_look)

    async def _read_after(self, pause: float) -> None:
        await asyncio.sleep(self._looked_at + pause - time.monotonic())
        # Before it reads: who asks from here on may know of a key that this reading misses.
        self._next_look = None
        await self._read()

    async def _read(self) -> None:
        self._looked_at = looked_at = time.monotonic()
        async with self._database.read() as session:
            rows = list(await session.scalars(queries.kept_secrets(self._table)))
        if not rows:
            rows = await self._make_first()
        self._keys = {row.kid: row.secret for row in rows}
        self._read_at = looked_at

    async def _make_first(self) -> list[KeptSecret]:
        async with self._database.transaction() as session:
            await session.execute(select(transaction_lock(FIRST_START_LOCK)))
            rows = list(await session.scalars(queries.kept_secrets(self._table)))
            return rows or [self._add_key(session)]

    def _add_key(self, session: AsyncSession) -> KeptSecret:
        key = self._table(kid=secrets.token_hex(4), secret=secrets.token_bytes(SECRET_BYTES))
        session.add(key)
        return key
