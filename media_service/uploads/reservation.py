"""What a request holds of its owner's quota while its bytes arrive. API room.

Nothing, as long as every file fits its first part: the transaction that makes the files decides. The first
file that outgrows it opens a session, whose row then reserves for the whole request, since all of its files
are stored or none.
"""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.database import Database
from media_service.quotas.allowance import Allowance
from media_service.quotas.queries import set_reservation
from media_service.quotas.reservations import lock_allowance
from media_service.quotas.turns import OwnerTurns
from media_service.storage.exceptions import UploadLostError
from media_service.uploads.queries import NOTHING, Reserved

STEP_BYTES = 8 * 1024 * 1024
"""Reserved ahead of a body that declares no length. Smaller means more transactions for a large file; larger
keeps more from other uploads of an owner who is close to the quota."""


class BatchReservation:
    """Covers what arrived and what is known to come, but never more than is free."""

    def __init__(self, database: Database, turns: OwnerTurns, owner_id: UUID, *, least_bytes: int) -> None:
        """`least_bytes`: the files are no smaller together; what cannot fit is refused and not begun."""
        self.most_bytes: int | None = None
        """The files will be no larger together; None: nobody knows."""
        self._database = database
        self._turns = turns
        self._owner_id = owner_id
        self._least_bytes = least_bytes
        self._arrived = NOTHING
        self._session_id: UUID | None = None
        self._reserved = NOTHING

    async def cover(self, size_bytes: int, *, files: int) -> None:
        """Take note of what has arrived, and reserve more where something is reserved already.

        Raises MediaServiceError: quota exceeded, unauthenticated (the owner was deleted), UploadLostError.
        """
        self._arrived = Reserved(size_bytes, files)
        session_id = self._session_id
        if session_id is None or (size_bytes <= self._reserved.size_bytes and files <= self._reserved.files):
            return

        def grow(session: Session) -> Reserved:
            allowance = lock_allowance(session, self._owner_id, but=[session_id])
            reserved = self._wanted(allowance)
            statement = set_reservation(session_id, size_bytes=reserved.size_bytes, files=reserved.files)
            if session.execute(statement).first() is None:
                raise UploadLostError
            return reserved

        self._reserved = await self.run(grow)

    async def run(self, work: Callable[[Session], Reserved]) -> Reserved:
        """Run a transaction that reserves, when it is its turn (`Database.run_transaction`)."""
        async with self._turns.of(self._owner_id):
            return await self._database.run_transaction(work)

    def take(self, session: Session) -> Reserved:
        """What the row of a session that is being opened has to reserve, in the transaction that inserts it.

        Raises as `cover` does.
        """
        if self._session_id is not None:
            return NOTHING
        return self._wanted(lock_allowance(session, self._owner_id))

    def is_held_by(self, session_id: UUID, reserved: Reserved) -> None:
        """Take note that a session was opened, and what it reserves."""
        if self._session_id is None:
            self._session_id, self._reserved = session_id, reserved

    def _wanted(self, allowance: Allowance) -> Reserved:
        arrived = self._arrived
        allowance.check(size_bytes=max(arrived.size_bytes, self._least_bytes), files=arrived.files)
        if self.most_bytes is None:
            wanted_bytes = arrived.size_bytes + STEP_BYTES
        else:
            wanted_bytes = max(self.most_bytes, arrived.size_bytes)
        return Reserved(allowance.at_most(wanted_bytes), arrived.files)
