"""Every statement about jobs, once. Core room: builds statements, runs none."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, and_, func, insert, literal, not_, or_, select, update
from sqlalchemy.sql.dml import Insert, ReturningUpdate, Update

from media_service.dialects import later_ms, now_ms
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import Job, JobKind, Lease


def claim(job_id: UUID, *, token: UUID, lease: timedelta, at: datetime) -> ReturningUpdate[Job]:
    """Take a job, counting the attempt before the work. Gives no row if another has it or it is not due.

    A compare-and-set, so a message that arrives twice does nothing twice.
    """
    return (
        update(Job)
        .where(
            Job.id == job_id,
            _may_be_tried(),
            Job.run_after_ms <= now_ms(),
            or_(Job.status == JobStatus.QUEUED, _lease_ran_out()),
        )
        .values(
            status=JobStatus.RUNNING,
            attempts=Job.attempts + 1,
            lease_token=token,
            lease_until_ms=later_ms(lease),
            started_at=func.coalesce(Job.started_at, at),
            error_code=None,
            error_detail=None,
        )
        .returning(Job)
        .execution_options(synchronize_session=False)
    )


def _may_be_tried() -> Any:
    """Outages do not count: a photo must survive any of them, however long."""
    return Job.attempts - Job.deferrals < Job.max_attempts


def _lease_ran_out() -> Any:
    return and_(Job.status == JobStatus.RUNNING, Job.lease_until_ms < now_ms())


def renew(tokens: Sequence[UUID], *, lease: timedelta) -> ReturningUpdate[UUID | None]:
    """Extend the leases that are still held; returns their tokens, so the rest are known to be lost."""
    return (
        update(Job)
        .where(Job.lease_token.in_(tokens), Job.status == JobStatus.RUNNING)
        .values(lease_until_ms=later_ms(lease))
        .returning(Job.lease_token)
        .execution_options(synchronize_session=False)
    )


def finish(
    job_id: UUID, *, token: UUID, status: JobStatus, at: datetime, error: tuple[str, str] | None = None
) -> ReturningUpdate[UUID]:
    """Publish the end of a job, if `token` still holds its lease: no row means that it was fenced out."""
    code, detail = error or (None, None)
    return (
        update(Job)
        .where(Job.id == job_id, Job.lease_token == token, Job.status == JobStatus.RUNNING)
        .values(
            status=status,
            lease_token=None,
            lease_until_ms=None,
            progress=1.0 if status is JobStatus.SUCCEEDED else Job.progress,
            error_code=code,
            error_detail=detail,
            finished_at=at,
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )


def set_file(job_id: UUID, file_id: UUID) -> Update:
    """Note which file a job has made."""
    return (
        update(Job)
        .where(Job.id == job_id)
        .values(file_id=file_id)
        .execution_options(synchronize_session=False)
    )


def put_back(
    job_id: UUID, *, token: UUID, delay: timedelta, error: tuple[str, str], is_crash: bool
) -> ReturningUpdate[UUID]:
    """Queue a job again after `delay`, if `token` still holds its lease; it crashed, or it was put off."""
    code, detail = error
    counter = {"crashes": Job.crashes + 1} if is_crash else {"deferrals": Job.deferrals + 1}
    return (
        update(Job)
        .where(Job.id == job_id, Job.lease_token == token, Job.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.QUEUED,
            lease_token=None,
            lease_until_ms=None,
            sent_at_ms=None,
            run_after_ms=later_ms(delay),
            error_code=code,
            error_detail=detail,
            **counter,
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )


def requeue_abandoned(*, limit: int) -> ReturningUpdate[UUID]:
    """Queue again what a dead worker held and may still be tried; the attempt stays counted."""
    abandoned = select(Job.id).where(_lease_ran_out(), _may_be_tried()).limit(limit)
    return (
        update(Job)
        .where(Job.id.in_(abandoned.scalar_subquery()), _lease_ran_out())
        .values(status=JobStatus.QUEUED, lease_token=None, lease_until_ms=None, sent_at_ms=None)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )


def worn_out(*, limit: int) -> Select[Job]:
    """Jobs whose last allowed attempt ended in silence."""
    return select(Job).where(_lease_ran_out(), not_(_may_be_tried())).limit(limit)


def bury(job_id: UUID, *, at: datetime, error: tuple[str, str]) -> ReturningUpdate[UUID]:
    """Make a worn-out job a dead letter, unless somebody was quicker."""
    code, detail = error
    return (
        update(Job)
        .where(Job.id == job_id, _lease_ran_out(), not_(_may_be_tried()))
        .values(
            status=JobStatus.DEAD,
            lease_token=None,
            lease_until_ms=None,
            error_code=code,
            error_detail=detail,
            finished_at=at,
        )
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    )


def due_for_sending(lane: str, *, resend_after: timedelta, limit: int) -> Select[UUID]:
    """Queued jobs of a lane that no message stands for: never sent, or sent and not claimed for long."""
    return (
        select(Job.id)
        .where(
            Job.lane == lane,
            Job.status == JobStatus.QUEUED,
            Job.run_after_ms <= now_ms(),
            or_(Job.sent_at_ms.is_(None), Job.sent_at_ms < later_ms(-resend_after)),
        )
        .order_by(Job.run_after_ms, Job.id)
        .limit(limit)
    )


def mark_sent(job_ids: Sequence[UUID]) -> Update:
    """Note that messages are about to be sent, before they are: a crash between costs a resend, no job."""
    return (
        update(Job)
        .where(Job.id.in_(job_ids), Job.status == JobStatus.QUEUED)
        .values(sent_at_ms=now_ms())
        .execution_options(synchronize_session=False)
    )


def job_by_id(job_id: UUID, *, owner_id: UUID | None) -> Select[Job]:
    """One job; `owner_id` None means any owner's."""
    statement = select(Job).where(Job.id == job_id)
    return statement if owner_id is None else statement.where(Job.owner_id == owner_id)


def hand_over_purges(owner_id: UUID, *, to_owner: UUID) -> Update:
    """Give another owner the unfinished purges of one who is about to be deleted: else they would go too."""
    return (
        update(Job)
        .where(
            Job.owner_id == owner_id,
            Job.kind == JobKind.PURGE_FILE,
            Job.status.in_((JobStatus.QUEUED, JobStatus.RUNNING)),
        )
        .values(owner_id=to_owner)
        .execution_options(synchronize_session=False)
    )


def files_at_work(file_ids: Collection[UUID]) -> Select[UUID | None]:
    """Those of these files that a job is about."""
    unfinished = (JobStatus.QUEUED, JobStatus.RUNNING)
    return select(Job.file_id).where(Job.file_id.in_(file_ids), Job.status.in_(unfinished))


def files_given_up(file_ids: Collection[UUID], *, since: datetime) -> Select[UUID | None]:
    """Those of these files whose processing ended without success after a moment."""
    return select(Job.file_id).where(
        Job.file_id.in_(file_ids),
        Job.kind == JobKind.PROCESS_FILE,
        Job.status.in_((JobStatus.FAILED, JobStatus.DEAD)),
        Job.finished_at >= since,
    )


def insert_lease(name: str, *, holder: UUID) -> Insert:
    """Create a lease that is already over; does nothing where it exists."""
    missing = ~select(Lease.name).where(Lease.name == name).exists()
    row = select(literal(name), literal(holder, Uuid()), literal(0)).where(missing)
    return insert(Lease).from_select(["name", "holder", "until_ms"], row)


def take_lease(name: str, *, holder: UUID, lease: timedelta) -> ReturningUpdate[str]:
    """Take or extend a named lease; no row means that another holds it."""
    return (
        update(Lease)
        .where(Lease.name == name, or_(Lease.holder == holder, Lease.until_ms < now_ms()))
        .values(holder=holder, until_ms=later_ms(lease))
        .returning(Lease.name)
        .execution_options(synchronize_session=False)
    )
