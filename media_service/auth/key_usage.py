"""Notes when API keys are used, behind the back of the requests that use them. API room."""

import time
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from media_service.auth import queries
from media_service.database import Database, aftermath
from media_service.exceptions import MediaServiceError
from media_service.heartbeat import Heartbeat
from media_service.models import utc_now

log = structlog.get_logger(__name__)

WRITE_INTERVAL = timedelta(seconds=15)
"""A process that is killed forgets the uses of so long."""
MIN_PAUSE = timedelta(minutes=1)
"""Between two notes about one key: a busy key costs one small write a minute, not one a request."""


class KeyUsage:
    """Collects uses in memory; one task writes them, all keys in one transaction."""

    def __init__(
        self, database: Database, *, interval: timedelta = WRITE_INTERVAL, min_pause: timedelta = MIN_PAUSE
    ) -> None:
        self._database = database
        self._min_pause_seconds = min_pause.total_seconds()
        self._waiting: dict[UUID, datetime] = {}
        self._noted_at: dict[UUID, float] = {}
        self._task = Heartbeat(self.write, lease=3 * interval, failure="auth.key_use_not_noted")

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """End the task, and write what is left if the database answers soon."""
        await self._task.close()
        try:
            async with aftermath():
                await self.write()
        except MediaServiceError as error:
            log.warning("auth.key_use_not_noted", code=error.code)

    def note(self, key_id: UUID) -> None:
        """A request came with this key; returns at once."""
        now = time.monotonic()
        if now - self._noted_at.get(key_id, float("-inf")) >= self._min_pause_seconds:
            self._noted_at[key_id] = now
            self._waiting[key_id] = utc_now()

    async def write(self) -> None:
        """Write what was noted. Raises MediaServiceError (unavailable); those notes are lost then."""
        waiting, self._waiting = self._waiting, {}
        self._forget_old()
        if not waiting:
            return
        # In order of id: two processes that note the same keys must not lock each other out.
        rows = [{"key_id": key_id, "used_at": used_at} for key_id, used_at in sorted(waiting.items())]
        async with self._database.transaction() as session:
            await session.execute(queries.SET_LAST_USE, rows)

    def _forget_old(self) -> None:
        horizon = time.monotonic() - self._min_pause_seconds
        self._noted_at = {key_id: at for key_id, at in self._noted_at.items() if at > horizon}
