"""One request at a time works on an upload, whatever process or machine it is in. API room.

The lock is in the session's row, with a lease by the database's clock and a fence: a number that counts its
holders and stands in every change that they make. A request that meets a live holder asks it to let go, so
that a resume never waits for a dead socket; a holder whose process is gone loses the lock with its lease.
Holders of this process hear of it at once, those of others look into their rows every now and then.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from media_service.database import Database
from media_service.exceptions import MediaServiceError
from media_service.heartbeat import Heartbeat
from media_service.uploads.models import UploadSession
from media_service.uploads.resumable import queries
from media_service.uploads.resumable.errors import upload_locked, upload_not_found

log = structlog.get_logger(__name__)

LOOK_EVERY = timedelta(seconds=0.9)
"""A heartbeat beats three times in this: how often a process looks whether its holders are asked to stop."""
MIN_PAUSE_SECONDS = 0.01
MAX_PAUSE_SECONDS = 0.4
"""Between two tries for a lock that another process holds; they double."""


@dataclass(slots=True, eq=False)
class HeldLock:
    """A lock that this request has. `row` is the session as it was when it was taken, or last changed."""

    row: UploadSession
    holder: UUID
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody else waits for the lock, or has it."""
    is_torn: bool = False
    """Set if something that was begun may still be written when the lock is given back."""
    is_gone: bool = False
    """The session was deleted under the lock."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> UUID:
        return self.row.id

    @property
    def fence(self) -> int:
        return self.row.fence


class UploadLocks:
    """The locks that requests of this process hold, and the tasks that keep them."""

    def __init__(
        self, database: Database, *, lease: timedelta, patience: timedelta, lifetime: timedelta
    ) -> None:
        self._database = database
        self._lease = lease
        self._patience_seconds = patience.total_seconds()
        self._lifetime = lifetime
        self._held: dict[UUID, HeldLock] = {}
        self._by_session: dict[UUID, HeldLock] = {}
        self._renewing = Heartbeat(self._renew, lease=lease, failure="upload.lock_not_renewed")
        self._looking = Heartbeat(self._look, lease=LOOK_EVERY, failure="upload.stop_not_seen")

    def start(self) -> None:
        self._renewing.start()
        self._looking.start()

    async def close(self) -> None:
        await self._looking.close()
        await self._renewing.close()

    @asynccontextmanager
    async def hold(self, session_id: UUID) -> AsyncIterator[HeldLock]:
        """Hold the lock while the block runs.

        Raises MediaServiceError: locked if the holder does not let go in time, not found if the session is
        gone.
        """
        lock = await self._acquire(session_id)
        self._held[lock.holder] = self._by_session[session_id] = lock
        try:
            yield lock
        finally:
            await asyncio.shield(self._release(lock))

    async def wait_until_free(self, session_id: UUID, *, patience: timedelta) -> None:
        """Ask a live holder to let go, and give it a moment; returns whether it did so or not."""
        deadline, tries = _now() + patience.total_seconds(), 0
        async with self._database.read() as session:
            is_held = (await session.scalars(queries.live_holder(session_id))).first() is not None
        while is_held and _now() < deadline:
            if not await self._ask_to_stop(session_id):
                return
            await self._pause(session_id, deadline, tries)
            tries += 1
            async with self._database.read() as session:
                is_held = (await session.scalars(queries.live_holder(session_id))).first() is not None

    async def _acquire(self, session_id: UUID) -> HeldLock:
        deadline, missed, tries = _now() + self._patience_seconds, 0, 0
        while True:
            holder = uuid4()
            async with self._database.transaction() as session:
                statement = queries.acquire(session_id, holder=holder, lease=self._lease)
                row = (await session.scalars(statement)).one_or_none()
            if row is not None:
                return HeldLock(row, holder)
            if not await self._ask_to_stop(session_id):
                missed += 1
                if missed == 3:  # neither held nor free, again and again: it is not there
                    raise upload_not_found()
                continue
            if _now() >= deadline:
                raise upload_locked()
            await self._pause(session_id, deadline, tries)
            tries += 1

    async def _ask_to_stop(self, session_id: UUID) -> bool:
        """Whether there is a holder to be asked."""
        if (own := self._by_session.get(session_id)) is not None:
            own.stop.set()
            return True
        async with self._database.transaction() as session:
            return (await session.scalars(queries.ask_to_stop(session_id))).first() is not None

    async def _pause(self, session_id: UUID, deadline: float, tries: int) -> None:
        """Wait for a holder of this process, or for a while."""
        own = self._by_session.get(session_id)
        left_seconds = max(deadline - _now(), 0)
        if own is None:
            await asyncio.sleep(min(left_seconds, _jitter(tries)))
            return
        try:
            async with asyncio.timeout(left_seconds):
                await own.released.wait()
        except TimeoutError:
            return

    async def _release(self, lock: HeldLock) -> None:
        self._held.pop(lock.holder, None)
        if self._by_session.get(lock.id) is lock:
            del self._by_session[lock.id]
        try:
            if not lock.is_gone:
                async with self._database.transaction() as session:
                    await session.execute(queries.release(lock.id, fence=lock.fence, is_torn=lock.is_torn))
        except MediaServiceError as error:
            log.warning("upload.lock_left_to_its_lease", upload_id=str(lock.id), code=error.code)
        finally:
            lock.released.set()

    async def _renew(self) -> None:
        held = dict(self._held)
        if not held:
            return
        async with self._database.transaction() as session:
            statement = queries.renew_locks(list(held), lease=self._lease, lifetime=self._lifetime)
            kept = set(await session.scalars(statement))
        for holder in held.keys() - kept:
            held[holder].stop.set()  # it has lost the lock; the fence keeps it from changing anything

    async def _look(self) -> None:
        held = dict(self._held)
        if not held:
            return
        async with self._database.read() as session:
            asked = list(await session.scalars(queries.asked_to_stop(list(held))))
        for holder in asked:
            if holder is not None:
                held[holder].stop.set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _jitter(tries: int) -> float:
    seconds: float = min(MIN_PAUSE_SECONDS * 2**tries, MAX_PAUSE_SECONDS)
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - keeps two waiters apart
