"""Takes requests to import; a worker does it (`workers/jobs/import_file.py`). API room."""

from collections.abc import Collection

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.imports.schemas import ImportRequest
from media_service.imports.urls import ImportUrl
from media_service.jobs.creation import LANES, lane_of, new_job
from media_service.jobs.doorbell import Bell
from media_service.jobs.models import Job, JobKind


class ImportService:
    def __init__(
        self,
        *,
        database: Database,
        bell: Bell,
        is_enabled: bool,
        ports: Collection[int],
        job_max_attempts: int,
    ) -> None:
        self._database = database
        self._bell = bell
        self._is_enabled = is_enabled
        self._ports = ports
        self._job_max_attempts = job_max_attempts

    async def request(self, caller: Caller, wanted: ImportRequest) -> Job:
        """The job that fetches the file. Nothing is resolved or connected to here.

        Raises MediaServiceError: forbidden if imports are off, unprocessable for a URL that is none.
        """
        if not self._is_enabled:
            raise MediaServiceError(
                ErrorKind.FORBIDDEN,
                "imports-disabled",
                "Imports are switched off here (MEDIA_IMPORT_ENABLED).",
            )
        ImportUrl.parse(wanted.url, ports=self._ports)
        will_ring = self._bell.has_room(LANES[JobKind.IMPORT_FILE])
        job = new_job(
            JobKind.IMPORT_FILE,
            owner_id=caller.owner_id,
            file_id=None,
            payload=wanted.to_payload(),
            max_attempts=self._job_max_attempts,
            will_ring=will_ring,
        )
        async with self._database.transaction() as session:
            session.add(job)
            await session.flush()
            await session.refresh(job)
        if will_ring:
            self._bell.ring(job.id, lane_of(job))
        return job
