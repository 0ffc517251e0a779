"""Counters of what users store, against the files that they have. Worker room.

Every transaction that makes or deletes files counts them, so a difference is a defect, or somebody's own SQL.
It would be there for ever: a quota that refuses what fits, or takes what does not.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.quotas import queries
from workers.jobs.sweep.findings import Batch, Finding, Kind

log = structlog.get_logger(__name__)

PAGE = 50
"""Users per round. Their files are counted in an index, a million in a fraction of a second."""


class _Counted(NamedTuple):
    user_id: UUID
    stored_bytes: int
    stored_files: int
    real_bytes: int
    real_files: int

    @property
    def is_wrong(self) -> bool:
        return (self.stored_bytes, self.stored_files) != (self.real_bytes, self.real_files)


class WrongUsage:
    """Walks over all users, and corrects counters that are wrong."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after: UUID | None = None
        self.is_through = False

    def look(self) -> Iterator[Batch]:
        with self._database.read() as session:
            page = session.execute(queries.counted_users(after=self._after, limit=PAGE)).all()
        counted = [_Counted(*row) for row in page]
        self.is_through = len(counted) < PAGE
        self._after = None if self.is_through else counted[-1].user_id
        wrong = [row.user_id for row in counted if row.is_wrong]
        yield Batch([_finding(user_id) for user_id in wrong], partial(self._correct, wrong))

    def _correct(self, user_ids: Sequence[UUID]) -> Sequence[Finding]:
        return [_finding(user_id) for user_id in user_ids if self._correct_one(user_id)]

    def _correct_one(self, user_id: UUID) -> bool:
        with self._database.transaction() as session:
            # Whoever makes or deletes files of this user has counted them before, or will after this.
            figures = session.execute(queries.figures_for_change(user_id)).one_or_none()
            if figures is None:
                return False
            size_bytes, files = session.execute(queries.stored(user_id)).one()
            known = (figures.stored_bytes, figures.stored_files)
            if known == (size_bytes, files):
                return False
            session.execute(queries.correct_stored(user_id, size_bytes=size_bytes, files=files))
        log.error("sweeper.usage_corrected", user_id=str(user_id), stored=known, counted=(size_bytes, files))
        return True


def _finding(user_id: UUID) -> Finding:
    return Finding(Kind.WRONG_USAGE, str(user_id))
