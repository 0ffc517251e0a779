"""Lets lost renditions be made again. Worker room."""

from collections.abc import Collection
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.files import queries
from media_service.files.processing import process_again
from media_service.jobs.models import Job
from media_service.jobs.queries import files_at_work
from media_service.storage.keys import owner_of

log = structlog.get_logger(__name__)


class Healer:
    """Queues jobs; the dispatcher sends them."""

    def __init__(self, database: Database, *, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts

    def heal(self, keys: Collection[str]) -> set[str]:
        """Queue one job for each file that has such a rendition and no job; returns the keys that it makes.

        Raises MediaServiceError (unavailable).
        """
        healed: set[str] = set()
        for file_id in {owner for key in keys if (owner := owner_of(key)) is not None}:
            wanted = {key for key in keys if owner_of(key) == file_id}
            job = self._queue(file_id, wanted)
            if job is not None:
                log.warning("sweeper.rendition_missing", file_id=str(file_id), job_id=str(job.id))
                healed |= wanted
        return healed

    def _queue(self, file_id: UUID, keys: set[str]) -> Job | None:
        with self._database.transaction() as session:
            # Locked: of two sweepers, or one and a person, the second sees the job of the first.
            file = session.scalars(queries.file_for_change(file_id)).one_or_none()
            if file is None or session.scalars(files_at_work([file_id])).first() is not None:
                return None
            renditions = session.scalars(queries.renditions_of(file_id))
            names = [rendition.name for rendition in renditions if rendition.key in keys]
            if not names:
                return None
            job = process_again(file, names, max_attempts=self._max_attempts, will_ring=False)
            session.add(job)
        return job
