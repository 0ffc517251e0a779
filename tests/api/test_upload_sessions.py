"""Claims on bytes that no file row owns yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from media_service.database import Database
from media_service.models import new_id
from media_service.tables import UploadSession
from media_service.uploads import queries
from media_service.uploads.sessions import UploadSessions
from tests.support.backends import Backend, Owner

LEASE = timedelta(seconds=0.3)


def session_ids(backend: Backend) -> set[UUID]:
    return {session.id for session in backend.rows(UploadSession)}


def test_finished_file_of_a_long_form_is_claimed_until_its_commit(clean_backend: Backend):
    owner: Owner = clean_backend.add_owner()
    waiting, committed = new_id(), new_id()

    async def scenario() -> tuple[set[UUID], list[UUID]]:
        database = Database(clean_backend.settings().effective_database_url, pool_size=2)
        sessions = UploadSessions(database, lease=LEASE)
        sessions.start()
        for file_id in (waiting, committed):
            sessions.wait_for_commit(file_id, owner_id=owner.id, protocol="form")
        sessions.forget([committed])
        async with asyncio.timeout(20):
            while not sessions.opened([waiting]):  # noqa: ASYNC110 - the heartbeat has no event for us
                await asyncio.sleep(0.01)
        claimed = await asyncio.to_thread(session_ids, clean_backend)
        opened = sessions.opened([waiting, committed])
        await sessions.discard([waiting])
        await sessions.close()
        await database.close()
        return claimed, opened

    assert asyncio.run(scenario()) == ({waiting}, [waiting])
    assert session_ids(clean_backend) == set()


class FailingOnce(Database):
    """The first transaction ends as nobody foresaw."""

    has_failed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        if not self.has_failed:
            self.has_failed = True
            raise ZeroDivisionError("a defect")
        async with super().transaction() as session:
            yield session


def test_heartbeat_outlives_an_error_that_nobody_foresaw(clean_backend: Backend):
    owner: Owner = clean_backend.add_owner()
    waiting = new_id()

    async def scenario() -> bool:
        database = FailingOnce(clean_backend.settings().effective_database_url, pool_size=2)
        sessions = UploadSessions(database, lease=LEASE)
        sessions.start()
        sessions.wait_for_commit(waiting, owner_id=owner.id, protocol="form")
        async with asyncio.timeout(20):
            while not sessions.opened([waiting]):  # noqa: ASYNC110 - the heartbeat has no event for us
                await asyncio.sleep(0.01)
        await sessions.discard([waiting])
        await sessions.close()
        await database.close()
        return database.has_failed

    assert asyncio.run(scenario()) is True


def test_claim_whose_first_answer_was_lost_holds_up_no_other(clean_backend: Backend):
    owner: Owner = clean_backend.add_owner()
    live, waiting = new_id(), new_id()

    async def scenario() -> tuple[int, int]:
        database = Database(clean_backend.settings().effective_database_url, pool_size=2)
        sessions = UploadSessions(database, lease=LEASE)
        await sessions.open(live, owner_id=owner.id, protocol="raw")
        async with database.transaction() as session:  # as the heartbeat did, and never heard of it
            claim = queries.insert_session(waiting, owner_id=owner.id, protocol="form", lease=LEASE)
            await session.execute(claim)
        before = await asyncio.to_thread(lease_of, clean_backend, live)
        sessions.wait_for_commit(waiting, owner_id=owner.id, protocol="form")
        sessions.start()
        async with asyncio.timeout(20):
            while not sessions.opened([waiting]):  # noqa: ASYNC110 - the heartbeat has no event for us
                await asyncio.sleep(0.01)
        after = await asyncio.to_thread(lease_of, clean_backend, live)
        await sessions.discard([live, waiting])
        await sessions.close()
        await database.close()
        return before, after

    before, after = asyncio.run(scenario())
    assert before < after


def lease_of(backend: Backend, session_id: UUID) -> int:
    (row,) = [row for row in backend.rows(UploadSession) if row.id == session_id]
    return row.lease_until_ms
