"""Makes certain what the doorbell only makes likely: every due job reaches a worker. Worker room.

Any number of dispatchers may run; one at a time holds the lease and works. All it knows is in the database,
so it can die at any point, and Redis may lose everything it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from typing import Protocol
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Select

from media_service.blocking_database import Database
from media_service.broker.messages import Lane
from media_service.faultpoints import reach
from media_service.jobs import queries
from media_service.models import utc_now
from workers.jobs.endings import fail_file

log = structlog.get_logger(__name__)

LEASE_NAME = "dispatcher"
REAP_LIMIT = 200
"""Abandoned jobs per round: a bound on one transaction, not on the work."""

INTERRUPTED = (
    "interrupted",
    "Every attempt was cut off, the last one included; the file can be processed again.",
)


class Sender(Protocol):
    """Puts messages into lanes (`broker/client.py`)."""

    def send(self, job_id: UUID, lane: Lane) -> None: ...

    def depth(self, lane: Lane) -> int: ...


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """Times and bounds; all of them are settings."""

    window: int
    resend_after: timedelta
    leadership: timedelta
    """How long another dispatcher waits after the leader fell silent."""
    limits: Mapping[Lane, int] = field(default_factory=dict)
    """Jobs of a lane that are sent or running at once, over all workers; a lane that is not here has none."""


class Dispatcher:
    """One round at a time: hand out again what the dead held, then fill the lanes."""

    def __init__(self, database: Database, sender: Sender, rules: DispatchRules) -> None:
        self._database = database
        self._sender = sender
        self._rules = rules
        self._id = uuid4()
        self._last_owner: dict[Lane, UUID] = {}
        self._waiting: set[Lane] = set()

    def run_round(self) -> bool:
        """Returns whether this dispatcher leads. Raises MediaServiceError (unavailable)."""
        if not self._lead():
            return False
        self._requeue_abandoned()
        self._bury_worn_out()
        for lane in Lane:
            self._fill(lane)
        return True

    @property
    def has_limited_work(self) -> bool:
        """Whether the last look saw due jobs in a lane with a limit, where the end of one makes room."""
        return not self._waiting.isdisjoint(self._rules.limits)

    def top_up(self) -> None:
        """Fill the lanes with a limit, between a leader's rounds. Raises MediaServiceError (unavailable).

        A limit of one job at once would else be one job per round, however short.
        """
        for lane in self._rules.limits:
            self._fill(lane)

    def _lead(self) -> bool:
        with self._database.transaction() as session:
            taken = queries.take_lease(LEASE_NAME, holder=self._id, lease=self._rules.leadership)
            if session.execute(taken).first() is not None:
                return True
            session.execute(queries.insert_lease(LEASE_NAME, holder=self._id))
            return session.execute(taken).first() is not None

    def _requeue_abandoned(self) -> None:
        with self._database.transaction() as session:
            ids = list(session.scalars(queries.requeue_abandoned(limit=REAP_LIMIT)))
        for job_id in ids:
            log.warning("job.abandoned", job_id=str(job_id))

    def _bury_worn_out(self) -> None:
        with self._database.read() as session:
            jobs = list(session.scalars(queries.worn_out(limit=REAP_LIMIT)))
        for job in jobs:
            with self._database.transaction() as session:
                statement = queries.bury(job.id, at=utc_now(), error=INTERRUPTED)
                if session.execute(statement).first() is not None and job.file_id is not None:
                    fail_file(session, job.file_id, INTERRUPTED)
            log.error("job.dead", job_id=str(job.id), attempts=job.attempts)

    def _fill(self, lane: Lane) -> None:
        """Send what is due, but never more than lets a lane hold its window of messages."""
        if self._next_owner(lane, after=None) is None:
            self._waiting.discard(lane)
            return
        self._waiting.add(lane)
        room = self._room(lane)
        if room <= 0:
            return
        batch = self._due(lane, room)
        with self._database.transaction() as session:
            session.execute(queries.mark_sent(batch))
        reach("dispatch.marked")
        for job_id in batch:
            self._sender.send(job_id, lane)
            reach("dispatch.sent")
        log.debug("dispatcher.sent", lane=lane.value, jobs=len(batch))

    def _room(self, lane: Lane) -> int:
        waiting = self._sender.depth(lane)
        room = self._rules.window - waiting
        if (limit := self._rules.limits.get(lane)) is None:
            return room
        with self._database.read() as session:
            running = session.scalars(queries.count_running(lane.value)).one()
        return min(room, limit - waiting - running)

    def _due(self, lane: Lane, room: int) -> list[UUID]:
        """One job of each owner in turn, so that nobody waits behind another's thousands."""
        owners = self._owners(lane, room)
        with self._database.read() as session:
            waiting = [list(session.scalars(self._due_of(lane, owner, limit=room))) for owner in owners]
        turns = zip_longest(*waiting)
        return [job_id for turn in turns for job_id in turn if job_id is not None][:room]

    def _owners(self, lane: Lane, limit: int) -> list[UUID]:
        """At most so many owners with due jobs, beginning behind the last one of the round before."""
        owners: list[UUID] = []
        after, has_wrapped = self._last_owner.get(lane), False
        while len(owners) < limit:
            owner = self._next_owner(lane, after=after)
            if owner is None and not has_wrapped:
                after, has_wrapped = None, True
            elif owner is None or owner in owners:
                break
            else:
                owners.append(owner)
                after = owner
        if owners:
            self._last_owner[lane] = owners[-1]
        return owners

    def _next_owner(self, lane: Lane, *, after: UUID | None) -> UUID | None:
        statement = queries.next_owner_with_due(
            lane.value, after=after, resend_after=self._rules.resend_after
        )
        with self._database.read() as session:
            return session.scalars(statement).first()

    def _due_of(self, lane: Lane, owner_id: UUID, *, limit: int) -> Select[UUID]:
        return queries.due_for_sending(
            lane.value, owner_id=owner_id, resend_after=self._rules.resend_after, limit=limit
        )
