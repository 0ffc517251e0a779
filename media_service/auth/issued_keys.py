"""Whether a key was ever given out, by few looks into the database however many ask. API room."""

import asyncio
import time

from media_service.auth import queries
from media_service.database import Database

PAUSE_SECONDS = 0.25
"""Between two looks, so made-up keys cost four statements a second at most. Who asks waits for the next one:
shorter costs the database more, longer keeps good keys waiting."""
MAX_AT_ONCE = 1000
"""Keys of one look, some milliseconds of the database's work. Fewer are easier to crowd out; who comes when
there are so many already is told that there is no such key, and may be luckier a moment later."""


class IssuedKeys:
    """API keys and upload tokens, by their digests: good ones, and those that were good once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: set[str] = set()
        self._looked_at = float("-inf")
        self._next_look: asyncio.Task[frozenset[str]] | None = None

    async def has(self, digest: str) -> bool:
        """Look for a key together with all who ask until the next look begins."""
        if len(self._asked) >= MAX_AT_ONCE:
            return False
        self._asked.add(digest)
        if self._next_look is None:
            self._next_look = asyncio.create_task(self._look())
        return digest in await asyncio.shield(self._next_look)

    async def _look(self) -> frozenset[str]:
        await asyncio.sleep(self._looked_at + PAUSE_SECONDS - time.monotonic())
        asked, self._asked = self._asked, set()
        self._next_look, self._looked_at = None, time.monotonic()
        statement = queries.issued_digests(asked)
        return await self._database.run_read(lambda session: frozenset(session.scalars(statement)))
