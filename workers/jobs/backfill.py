"""Finds the files that lack a preset as it is configured now, and queues them. Worker room.

It remembers nothing: a file lacks a rendition or not, and a job about it is there or not. So it can be broken
off and run again at any time, beside a running service or another backfill.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from media_service.blocking_database import Database
from media_service.broker.messages import Lane
from media_service.files.models import File
from media_service.files.processing import process_again
from media_service.files.queries import files_lacking
from media_service.jobs.queries import files_at_work
from media_service.transforms.spec import PROCESSABLE_TYPES, Preset

PAGE = 200
"""Files of one transaction: some milliseconds, so that uploads need not wait for SQLite's one writer."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What became of one page."""

    queued: int
    at_work: int
    """Have a job already, which makes what they lack."""


def backfill(
    database: Database, presets: Sequence[Preset], *, job_max_attempts: int, dry_run: bool
) -> Iterator[Backfilled]:
    """Queue file by file, a page at a time; the dispatcher hands out a few of them at once."""
    recipes = {preset.name: preset.recipe for preset in presets}
    after: UUID | None = None
    while recipes:
        statement = files_lacking(recipes, content_types=PROCESSABLE_TYPES, after=after, limit=PAGE)
        with database.read() as session:
            files = list(session.scalars(statement))
        if not files:
            return
        yield _queue(database, files, list(recipes), job_max_attempts, dry_run=dry_run)
        after = files[-1].id


def _queue(
    database: Database, files: Sequence[File], names: Sequence[str], max_attempts: int, *, dry_run: bool
) -> Backfilled:
    with database.transaction() as session:
        at_work = set(session.scalars(files_at_work([file.id for file in files])))
        idle = [file for file in files if file.id not in at_work]
        if not dry_run:
            session.add_all(
                process_again(file, names, max_attempts=max_attempts, will_ring=False, lane=Lane.BACKFILL)
                for file in idle
            )
    return Backfilled(queued=len(idle), at_work=len(files) - len(idle))
