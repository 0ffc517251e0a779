"""Claims on the bytes of uploads that outgrew their first part, alive while their process is. API room."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.lost_owner import needing_owner
from media_service.database import Database, aftermath
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.heartbeat import Heartbeat
from media_service.uploads import queries
from media_service.uploads.reservation import BatchReservation


@dataclass(frozen=True, slots=True)
class _Claim:
    owner_id: UUID
    protocol: str


class UploadSessions:
    """The live sessions of this process, and one task that renews all their leases."""

    def __init__(self, database: Database, *, lease: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._live: set[UUID] = set()
        self._waiting: dict[UUID, _Claim] = {}
        self._heartbeat = Heartbeat(self._renew, lease=lease, failure="upload.lease_not_renewed")

    def start(self) -> None:
        self._heartbeat.start()

    async def close(self) -> None:
        await self._heartbeat.close()

    async def open(
        self, session_id: UUID, *, owner_id: UUID, protocol: str, reservation: BatchReservation | None = None
    ) -> None:
        """Insert a session's row, with what its request reserves, and keep it alive.

        Raises MediaServiceError: quota exceeded, unauthenticated (the owner was deleted).
        """

        def insert(session: Session) -> queries.Reserved:
            reserved = queries.NOTHING if reservation is None else reservation.take(session)
            claim = queries.insert_session(
                session_id, owner_id=owner_id, protocol=protocol, lease=self._lease, reserved=reserved
            )
            session.execute(claim)
            return reserved

        with needing_owner():
            run = self._database.run_transaction if reservation is None else reservation.run
            reserved = await run(insert)
        self._live.add(session_id)
        if reservation is not None:
            reservation.is_held_by(session_id, reserved)

    async def set_storage_upload(self, session_id: UUID, storage_upload_id: str) -> None:
        """Record which upload of the storage holds a session's bytes."""
        async with self._database.transaction() as session:
            await session.execute(queries.set_storage_upload(session_id, storage_upload_id))

    def wait_for_commit(self, session_id: UUID, *, owner_id: UUID, protocol: str) -> None:
        """Watch over a durable file whose form goes on.

        One that fitted a part has no session. If the rest of its form takes longer than a heartbeat, it gets
        one: the sweeper would else take it for an orphan while a large file follows over a slow line.
        """
        if session_id not in self._live:
            self._waiting[session_id] = _Claim(owner_id, protocol)

    def opened(self, session_ids: Collection[UUID]) -> list[UUID]:
        """Those of these ids that have a session."""
        return [session_id for session_id in session_ids if session_id in self._live]

    def forget(self, session_ids: Collection[UUID]) -> None:
        """Stop renewing sessions whose rows are gone, or are left to the sweeper."""
        self._live.difference_update(session_ids)
        for session_id in session_ids:
            self._waiting.pop(session_id, None)

    async def discard(self, session_ids: Collection[UUID]) -> None:
        """Delete the rows of sessions whose bytes are gone."""
        opened = self.opened(session_ids)
        self.forget(session_ids)
        if opened:
            async with aftermath(), self._database.transaction() as session:
                await session.execute(queries.delete_sessions(opened))

    async def _renew(self) -> None:
        await self._renew_live()  # first: whatever is wrong with a new claim, the old ones live on
        await self._claim_waiting()

    async def _claim_waiting(self) -> None:
        for session_id, claim in list(self._waiting.items()):
            try:
                await self._claim(session_id, claim)
            except MediaServiceError as error:
                if error.kind is not ErrorKind.UNAUTHENTICATED:
                    raise
                # Its owner was deleted, which must not hold up the others; its own commit will find out.
                self._waiting.pop(session_id, None)

    async def _claim(self, session_id: UUID, claim: _Claim) -> None:
        with needing_owner():
            async with self._database.transaction() as session:
                statement = queries.insert_session(
                    session_id, owner_id=claim.owner_id, protocol=claim.protocol, lease=self._lease
                )
                await session.execute(statement)
        if self._waiting.pop(session_id, None) is not None:
            self._live.add(session_id)
            return
        # A file that was committed while its claim was on the way needs none.
        async with self._database.transaction() as session:
            await session.execute(queries.delete_sessions([session_id]))

    async def _renew_live(self) -> None:
        if self._live:
            async with self._database.transaction() as session:
                await session.execute(queries.renew_sessions(list(self._live), lease=self._lease))


class SessionHook:
    """Gives one upload its session at the moment it outgrows its first part."""

    def __init__(
        self,
        sessions: UploadSessions,
        session_id: UUID,
        *,
        owner_id: UUID,
        protocol: str,
        reservation: BatchReservation | None = None,
    ) -> None:
        self._sessions = sessions
        self._session_id = session_id
        self._owner_id = owner_id
        self._protocol = protocol
        self._reservation = reservation

    async def before_create(self) -> None:
        # The row comes first: a crash between the two leaves a row without an upload, which is harmless.
        await self._sessions.open(
            self._session_id,
            owner_id=self._owner_id,
            protocol=self._protocol,
            reservation=self._reservation,
        )

    async def created(self, storage_upload_id: str) -> None:
        await self._sessions.set_storage_upload(self._session_id, storage_upload_id)
