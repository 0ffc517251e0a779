"""One computation for all who want the same image at the same time, in every process. API room.

The result's row is the claim: one process wins the right to send the message, all look at the row until it
says that the result is there, or why not, or until their patience is over. Nothing is kept in Redis but the
message itself, so nothing is lost with it but that message, and then the claim runs out.
"""

import asyncio
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from media_service.broker.messages import Lane
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.access import file_not_found
from media_service.transforms import queries
from media_service.transforms.image_spec import ImageSpec
from media_service.transforms.models import Transform

FIRST_PAUSE_SECONDS = 0.012
"""Between two looks at a row; a small picture takes 15 to 50 ms. A look costs about half a millisecond."""
MAX_PAUSE_SECONDS = 0.1
RETRY_AFTER_SECONDS = 2
"""When a result that was not there in time is worth another try: it is being made all the same."""

Flight = tuple[UUID, str]


class RenderBell(Protocol):
    """Asks workers for images (`broker/client.py`)."""

    def has_room(self, lane: Lane) -> bool: ...

    def ask_for_render(self, file_id: UUID, digest: str) -> "Future[None]": ...


class SingleFlight:
    """All who want one result in this process share one wait; the processes share the row."""

    def __init__(
        self, database: Database, bell: RenderBell, *, patience: timedelta, message_lease: timedelta
    ) -> None:
        """`patience` is how long anybody waits, `message_lease` when an unheard message counts as lost."""
        self._database = database
        self._bell = bell
        self._patience = patience
        self._message_lease = message_lease
        self._flights: dict[Flight, asyncio.Task[Transform]] = {}

    async def get(self, file_id: UUID, spec: ImageSpec) -> Transform:
        """The stored result, once it is there.

        Raises MediaServiceError: what the worker says of the file (unprocessable), not found if the file is
        deleted meanwhile, unavailable if nothing came in time or nobody could be asked.
        """
        key = (file_id, spec.digest)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(file_id, spec))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        # Shielded: the first who asks may hang up, and the others still wait.
        return await asyncio.shield(flight)

    async def close(self) -> None:
        """End every wait; who waits gets the error of a stopping server."""
        for flight in list(self._flights.values()):
            flight.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await flight

    def _land(self, key: Flight, flight: "asyncio.Task[Transform]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # seen, also where nobody is left who waits

    async def _fly(self, file_id: UUID, spec: ImageSpec) -> Transform:
        deadline = time.monotonic() + self._patience.total_seconds()
        await self._ask(file_id, spec)
        pause = FIRST_PAUSE_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, MAX_PAUSE_SECONDS)
            row, now_ms = await self._look(file_id, spec.digest)
            if row is None:
                raise file_not_found()
            if row.sha256 is not None:
                return row
            if row.busy_until_ms >= now_ms:
                raise_failure(row, now_ms)
            else:
                await self._ask(file_id, spec)
        raise _not_in_time()

    async def _ask(self, file_id: UUID, spec: ImageSpec) -> None:
        """Send the message, if nobody else did."""
        if not self._bell.has_room(Lane.RENDER):
            raise _not_in_time()
        if not await self._claim(file_id, spec):
            return
        try:
            await asyncio.wrap_future(self._bell.ask_for_render(file_id, spec.digest))
        except BaseException:
            await self._database.run_transaction(
                lambda session: session.execute(queries.give_back(file_id, spec.digest))
            )
            raise

    async def _claim(self, file_id: UUID, spec: ImageSpec) -> bool:
        def claim(session: Session) -> bool:
            statement = queries.claim_to_ask(
                session.get_bind().dialect.name,
                file_id,
                spec.digest,
                options=spec.options,
                lease=self._message_lease,
            )
            return session.execute(statement).first() is not None

        try:
            return await self._database.run_transaction(claim)
        except IntegrityError:
            return False  # the file is gone, which the next look tells

    async def _look(self, file_id: UUID, digest: str) -> tuple[Transform | None, int]:
        def look(session: Session) -> tuple[Transform | None, int]:
            row = session.scalars(queries.TRANSFORM, {"file_id": file_id, "digest": digest}).one_or_none()
            return row, session.scalars(queries.NOW).one()

        return await self._database.run_read(look)


def raise_failure(row: Transform, now_ms: int) -> None:
    """Raise what a worker recorded, if it recorded a failure that still holds."""
    if row.error_code is None or row.busy_until_ms < now_ms:
        return
    if row.error_kind == ErrorKind.UNPROCESSABLE:
        raise MediaServiceError(ErrorKind.UNPROCESSABLE, row.error_code, row.error_detail or "")
    raise MediaServiceError(
        ErrorKind.UNAVAILABLE,
        "render-failed",
        "The image could not be made just now; try again later.",
        retry_after_seconds=(row.busy_until_ms - now_ms) // 1000 + 1,
        cause_code=row.error_code,
    )


def _not_in_time() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAVAILABLE,
        "render-timeout",
        "The image is not ready yet; it is worth asking again in a moment.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
