"""How many transactions that need one owner's row this process runs at once. API room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID
from weakref import WeakValueDictionary

from media_service.dialects import is_unavailable
from media_service.exceptions import MediaServiceError

AT_ONCE = 4
"""Of one owner. The row lets one of them through at a time, from its last statement to its commit. With fewer
the others would not have done their inserts by then; more would wait, each with a connection of the pool."""


class OwnerTurns:
    """Keeps a crowd of uploads of one owner from taking the whole pool of connections to wait for one row."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[UUID, _Turns] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, owner_id: UUID) -> AsyncIterator[None]:
        """Run the block, a transaction, when it is its turn.

        Waits for as long as others get on. If the database fails one of them, all who wait fail with it: each
        would else wait its own time in vain. Raises MediaServiceError (unavailable).
        """
        turns = self._turns.setdefault(owner_id, _Turns())
        outage = turns.outage
        async with turns.free:
            if turns.outage is not None and turns.outage is not outage:
                raise turns.outage
            try:
                yield
            except MediaServiceError as error:
                if is_unavailable(error):
                    turns.outage = error
                raise


class _Turns:
    def __init__(self) -> None:
        self.free = asyncio.Semaphore(AT_ONCE)
        self.outage: MediaServiceError | None = None
