"""Jobs as clients see them. API room."""

from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.jobs import queries
from media_service.jobs.models import Job


class JobService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: UUID, caller: Caller) -> Job:
        """A job of the caller's. Raises MediaServiceError (not found)."""
        owner_id = None if caller.is_admin else caller.owner_id
        async with self._database.read() as session:
            job = (await session.scalars(queries.job_by_id(job_id, owner_id=owner_id))).one_or_none()
        if job is None:
            raise MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such job.")
        return job
