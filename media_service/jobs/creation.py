"""New jobs, ready to be inserted beside what they are about. Core room."""

from typing import Any
from uuid import UUID

from media_service.broker.messages import Lane
from media_service.dialects import now_ms
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import Job, JobKind
from media_service.models import new_id

LANES: dict[JobKind, Lane] = {
    JobKind.PROCESS_FILE: Lane.UPLOADS,
    JobKind.HASH_FILE: Lane.TRANSFERS,
    JobKind.IMPORT_FILE: Lane.TRANSFERS,
    JobKind.PURGE_FILE: Lane.HOUSEKEEPING,
}


def lane_of(job: Job) -> Lane:
    return Lane(job.lane)


def new_job(
    kind: JobKind,
    *,
    owner_id: UUID,
    file_id: UUID | None,
    payload: dict[str, Any],
    max_attempts: int,
    will_ring: bool,
) -> Job:
    """A queued job. `will_ring`: its maker rings the doorbell right after the commit.

    It then counts as sent, so the dispatcher leaves it alone for as long as a message may take; if the
    maker dies before it rings, the dispatcher sends it after that time.
    """
    return Job(
        id=new_id(),
        kind=kind,
        lane=LANES[kind].value,
        owner_id=owner_id,
        file_id=file_id,
        payload=payload,
        status=JobStatus.QUEUED,
        attempts=0,
        deferrals=0,
        crashes=0,
        max_attempts=max_attempts,
        progress=0.0,
        run_after_ms=0,
        sent_at_ms=now_ms() if will_ring else None,
    )
