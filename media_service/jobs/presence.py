"""Every statement about worker processes, once. Core room: builds statements, runs none."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Delete, Select, delete, insert, select, update
from sqlalchemy.sql.dml import Insert, ReturningDelete, ReturningUpdate

from media_service.dialects import later_ms, now_ms
from media_service.jobs.models import WorkerProcess

_SILENT = {"synchronize_session": False}


def enter(
    process_id: UUID,
    *,
    host: str,
    missing_layers: Sequence[str],
    lease: timedelta,
    lanes: Sequence[str] = (),
) -> Insert:
    """Say that a process has begun to live, and which lanes it works on (none: all of them)."""
    return insert(WorkerProcess).values(
        id=process_id,
        host=host,
        missing_layers=list(missing_layers),
        lanes=list(lanes),
        alive_until_ms=later_ms(lease),
    )


def stay(process_id: UUID, *, missing_layers: Sequence[str], lease: timedelta) -> ReturningUpdate[UUID]:
    """Say that a process still lives; no row: it was silent for so long that its row was swept."""
    return (
        update(WorkerProcess)
        .where(WorkerProcess.id == process_id)
        .values(missing_layers=list(missing_layers), alive_until_ms=later_ms(lease))
        .returning(WorkerProcess.id)
        .execution_options(**_SILENT)
    )


def leave(process_id: UUID) -> Delete:
    """Say that a process ends."""
    return delete(WorkerProcess).where(WorkerProcess.id == process_id).execution_options(**_SILENT)


def missing_layers_of_living() -> Select[list[str]]:
    """What the living processes lack, each list once; no row: nobody lives."""
    return select(WorkerProcess.missing_layers).where(WorkerProcess.alive_until_ms >= now_ms()).distinct()


def lanes_of_living() -> Select[list[str]]:
    """The lanes of each living process; an empty list stands for all of them."""
    return select(WorkerProcess.lanes).where(WorkerProcess.alive_until_ms >= now_ms())


def living_on(host: str) -> Select[UUID]:
    """The living processes of one host, as it calls itself."""
    is_alive = WorkerProcess.alive_until_ms >= now_ms()
    return select(WorkerProcess.id).where(WorkerProcess.host == host, is_alive)


def dead_processes(*, after: UUID | None, limit: int) -> Select[UUID]:
    """One page of the ids of those whose time is over, in their order."""
    statement = select(WorkerProcess.id).where(WorkerProcess.alive_until_ms < now_ms())
    if after is not None:
        statement = statement.where(WorkerProcess.id > after)
    return statement.order_by(WorkerProcess.id).limit(limit)


def bury_dead(process_ids: Collection[UUID]) -> ReturningDelete[UUID]:
    """Delete those of these whose time is still over; returns them."""
    return (
        delete(WorkerProcess)
        .where(WorkerProcess.id.in_(process_ids), WorkerProcess.alive_until_ms < now_ms())
        .returning(WorkerProcess.id)
        .execution_options(**_SILENT)
    )
