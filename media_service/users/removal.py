"""Deletes a user with all that is the user's. API room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.lost_owner import needing_owner
from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.events.queries import delete_events_of
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.queries import delete_files_of
from media_service.jobs.creation import new_job
from media_service.jobs.models import JobKind
from media_service.jobs.queries import delete_jobs_of, hand_over_purges
from media_service.models import utc_now
from media_service.quotas.queries import charge
from media_service.users.governance import check_not_last_admin, last_admin, user_under_lock

log = structlog.get_logger(__name__)

FILES_AT_ONCE = 500
"""One transaction each: a user's million files must not hold up everybody's writes."""
ROWS_AT_ONCE = 5000
"""Of events and jobs, one transaction each. The delete of the user's row would take all of them with it in
one statement: a million take longer than the database may."""
MAX_LATE_UPLOADS = 100
"""Rounds for uploads that were on their way when the user was disabled; each round takes all that came."""


class UserRemoval:
    """Disables, empties, deletes. Cut off at any point it leaves a disabled user, and can be repeated."""

    def __init__(self, database: Database, *, job_max_attempts: int) -> None:
        self._database = database
        self._job_max_attempts = job_max_attempts

    async def delete(self, user_id: UUID, caller: Caller) -> None:
        """Delete a user; jobs of the housekeeping lane remove the objects of the files.

        Takes a moment for each 500 files. Raises MediaServiceError: not found, conflict (the last admin, or
        uploads that do not end), unauthenticated (the caller was deleted meanwhile).
        """
        await self._disable(user_id)
        for _ in range(MAX_LATE_UPLOADS):
            while await self._delete_some_files(user_id, caller) == FILES_AT_ONCE:
                pass
            await self._hand_over_purges(user_id, caller)
            await self._delete_history(user_id)
            if await self._delete_row(user_id):
                log.info("user.deleted", user_id=str(user_id))
                return
        raise MediaServiceError(
            ErrorKind.CONFLICT, "record-changed", "Uploads of this user still arrive; repeat this in a while."
        )

    async def _disable(self, user_id: UUID) -> None:
        async with self._database.transaction() as session:
            user = await user_under_lock(session, user_id)
            await check_not_last_admin(session, user)
            user.disabled_at = user.disabled_at or utc_now()

    async def _delete_some_files(self, user_id: UUID, caller: Caller) -> int:
        async with self._transaction_of_heir() as session:
            heir = await _heir(session, user_id, caller)
            deleted = (await session.execute(delete_files_of(user_id, limit=FILES_AT_ONCE))).all()
            session.add_all(
                new_job(
                    JobKind.PURGE_FILE,
                    owner_id=heir,
                    file_id=None,
                    payload={"file_id": str(file_id)},
                    max_attempts=self._job_max_attempts,
                    will_ring=False,
                )
                for file_id, _ in deleted
            )
            await session.flush()
            await session.execute(
                *charge(user_id, size_bytes=-sum(size for _, size in deleted), files=-len(deleted))
            )
        return len(deleted)

    async def _hand_over_purges(self, user_id: UUID, caller: Caller) -> None:
        handed_over = ROWS_AT_ONCE
        while handed_over == ROWS_AT_ONCE:
            async with self._transaction_of_heir() as session:
                heir = await _heir(session, user_id, caller)
                statement = hand_over_purges(user_id, to_owner=heir, limit=ROWS_AT_ONCE)
                handed_over = len((await session.scalars(statement)).all())

    async def _delete_history(self, user_id: UUID) -> None:
        for delete_some in (delete_events_of, delete_jobs_of):
            deleted = ROWS_AT_ONCE
            while deleted == ROWS_AT_ONCE:
                async with self._database.transaction() as session:
                    deleted = len((await session.scalars(delete_some(user_id, limit=ROWS_AT_ONCE))).all())

    @asynccontextmanager
    async def _transaction_of_heir(self) -> AsyncIterator[AsyncSession]:
        """One whose rows refer to the heir. Raises MediaServiceError (unauthenticated) if it is gone."""
        with needing_owner():
            async with self._database.transaction() as session:
                yield session

    async def _delete_row(self, user_id: UUID) -> bool:
        """False if a file came meanwhile: a row of a file keeps the row of its owner."""
        try:
            async with self._database.transaction() as session:
                await session.execute(queries.delete_user(user_id))
        except IntegrityError:
            return False
        return True


async def _heir(session: AsyncSession, user_id: UUID, caller: Caller) -> UUID:
    """Who owns the jobs that outlive the user: the deleting admin, or another one if that is the user."""
    if caller.owner_id != user_id:
        return caller.owner_id
    other = (await session.scalars(queries.other_admins(user_id).limit(1))).first()
    if other is None:  # taken away since this began
        raise last_admin()
    return other.id
