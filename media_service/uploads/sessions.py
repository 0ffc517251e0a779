"""Claims on the bytes of uploads that outgrew their first part, alive while their process is. API room."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog

from media_service.database import Database
from media_service.exceptions import MediaServiceError
from media_service.uploads import queries

log = structlog.get_logger(__name__)


class UploadSessions:
    """The live sessions of this process, and one task that renews all their leases."""

    def __init__(self, database: Database, *, lease: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._live: set[UUID] = set()
        self._heartbeat: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._heartbeat = asyncio.create_task(self._renew_for_ever())

    async def close(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            with suppress(asyncio.CancelledError):
                await self._heartbeat

    async def open(self, session_id: UUID, *, owner_id: UUID, protocol: str) -> None:
        """Insert a session's row and keep it alive."""
        async with self._database.transaction() as session:
            await session.execute(
                queries.insert_session(session_id, owner_id=owner_id, protocol=protocol, lease=self._lease)
            )
        self._live.add(session_id)

    async def set_storage_upload(self, session_id: UUID, storage_upload_id: str) -> None:
        """Record which upload of the storage holds a session's bytes."""
        async with self._database.transaction() as session:
            await session.execute(queries.set_storage_upload(session_id, storage_upload_id))

    def opened(self, session_ids: Collection[UUID]) -> list[UUID]:
        """Those of these ids that have a session."""
        return [session_id for session_id in session_ids if session_id in self._live]

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Stop renewing sessions whose rows are gone, or are left to the sweeper."""
        self._live.difference_update(session_ids)

    async def discard(self, session_ids: Collection[UUID]) -> None:
        """Delete the rows of sessions whose bytes are gone."""
        opened = self.opened(session_ids)
        self.forget(opened)
        if opened:
            async with self._database.transaction() as session:
                await session.execute(queries.delete_sessions(opened))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            if not self._live:
                continue
            try:
                async with self._database.transaction() as session:
                    await session.execute(queries.renew_sessions(list(self._live), lease=self._lease))
            except MediaServiceError as error:
                log.warning("upload.lease_not_renewed", code=error.code, sessions=len(self._live))


class SessionHook:
    """Gives one upload its session at the moment it outgrows its first part."""

    def __init__(self, sessions: UploadSessions, session_id: UUID, *, owner_id: UUID, protocol: str) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._owner_id = owner_id
        self._protocol = protocol

    async def before_create(self) -> None:
        # The row comes first: a crash between the two leaves a row without an upload, which is harmless.
        await self._sessions.open(self._session_id, owner_id=self._owner_id, protocol=self._protocol)

    async def created(self, storage_upload_id: str) -> None:
        await self._sessions.set_storage_upload(self._session_id, storage_upload_id)
