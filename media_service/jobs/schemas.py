"""What clients see of a job. API room."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import Job, JobKind


class JobError(BaseModel):
    code: str
    detail: str


class JobOut(BaseModel):
    """A piece of work."""

    id: UUID
    kind: JobKind
    lane: str
    status: JobStatus
    attempts: int
    """Starts, however they ended."""
    deferrals: int
    """Starts that only found a dependency away; they do not count against `max_attempts`."""
    max_attempts: int
    progress: float
    error: JobError | None
    file_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def from_job(cls, job: Job) -> "JobOut":
        """`progress` runs from 0 to 1."""
        error = JobError(code=job.error_code, detail=job.error_detail or "") if job.error_code else None
        return cls(
            id=job.id,
            kind=job.kind,
            lane=job.lane,
            status=job.status,
            attempts=job.attempts,
            deferrals=job.deferrals,
            max_attempts=job.max_attempts,
            progress=job.progress,
            error=error,
            file_id=job.file_id,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )
