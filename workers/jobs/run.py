"""Runs one job: claim, work, and an end that is written down. Worker room; knows nothing of Celery."""

import time
from collections.abc import Callable, Mapping
from uuid import UUID, uuid4

import structlog

from media_service.blocking_database import Database
from media_service.exceptions import MediaServiceError
from media_service.faultpoints import reach
from media_service.jobs import queries
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.models import utc_now
from workers.jobs.context import ClaimedJob, FileGoneError, JobContext, LeaseLostError
from workers.jobs.endings import end_job
from workers.jobs.hash_file import hash_file
from workers.jobs.import_file import import_file
from workers.jobs.leases import LeaseKeeper
from workers.jobs.process_file import process_file
from workers.jobs.purge_file import purge_file
from workers.retries import Bury, GiveUp, History, Retry, judge

log = structlog.get_logger(__name__)

Handler = Callable[[ClaimedJob, JobContext], None]

HANDLERS: Mapping[JobKind, Handler] = {
    JobKind.PROCESS_FILE: process_file,
    JobKind.PURGE_FILE: purge_file,
    JobKind.HASH_FILE: hash_file,
    JobKind.IMPORT_FILE: import_file,
}
"""Each handler ends its job itself, in the transaction that publishes what it made."""


def run_job(job_id: UUID, context: JobContext, keeper: LeaseKeeper) -> None:
    """Run a job if it can be claimed; else another has it, or it is over, and there is nothing to do.

    Raises MediaServiceError (unavailable) only if the database is away: the row then stays as it is, and
    the dispatcher sends it again.
    """
    job = claim(job_id, context.database, keeper)
    if job is None:
        log.debug("job.not_claimed", job_id=str(job_id))
        return
    reach("job.claimed")
    with structlog.contextvars.bound_contextvars(
        job_id=str(job.id),
        job_kind=job.kind.value,
        file_id=str(job.file_id or job.payload.get("file_id")),
        attempt=job.attempts,
    ):
        started = time.perf_counter()
        outcome = _work(job, context, keeper)
        log.info(
            "job.finished", outcome=outcome, duration_ms=round((time.perf_counter() - started) * 1000, 1)
        )


def claim(job_id: UUID, database: Database, keeper: LeaseKeeper) -> ClaimedJob | None:
    """Take a job, counting the attempt before the work begins."""
    token = uuid4()
    statement = queries.claim(job_id, token=token, lease=keeper.lease, at=utc_now())
    with database.transaction() as session:
        row = session.scalars(statement).one_or_none()
    if row is None:
        return None
    return ClaimedJob(
        id=row.id,
        kind=row.kind,
        token=token,
        owner_id=row.owner_id,
        file_id=row.file_id,
        payload=row.payload,
        attempts=row.attempts,
        deferrals=row.deferrals,
        crashes=row.crashes,
        max_attempts=row.max_attempts,
    )


def _work(job: ClaimedJob, context: JobContext, keeper: LeaseKeeper) -> str:
    """One word for the log: how the attempt ended."""
    try:
        with keeper.hold(job.token):
            HANDLERS[job.kind](job, context)
    except LeaseLostError:
        return "fenced_out"
    except FileGoneError:
        return "file_gone"
    except Exception as error:  # noqa: BLE001 - every error has a fate
        return _end_with(error, job, context.database)
    return "succeeded"


def _end_with(error: Exception, job: ClaimedJob, database: Database) -> str:
    if isinstance(error, MediaServiceError):
        reason = (error.code, error.detail)
        log.warning(
            "job.attempt_failed", code=error.code, cause=repr(error.__cause__) if error.__cause__ else None
        )
    else:
        reason = ("internal-error", "Processing broke in a way that nobody foresaw.")
        log.error("job.attempt_failed", code=reason[0], exc_info=error)
    history = History(job.attempts - job.deferrals, job.max_attempts, job.crashes, job.deferrals)
    match judge(error, history):
        case Retry(delay=delay, is_crash=is_crash):
            statement = queries.put_back(
                job.id, token=job.token, delay=delay, error=reason, is_crash=is_crash
            )
            with database.transaction() as session:
                session.execute(statement)
            return "retry"
        case GiveUp():
            end_job(job, JobStatus.FAILED, reason, database)
            return "failed"
        case Bury():
            end_job(job, JobStatus.DEAD, reason, database)
            return "dead"
