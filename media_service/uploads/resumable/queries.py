"""Every statement about resumable sessions, once. Core room: builds statements, runs none.

Whatever says how far a session is changes under its fence: the number of the lock that a request holds. One
that lost its lock, because it was stopped for longer than its lease, changes nothing any more.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Update, case, delete, insert, null, select, update
from sqlalchemy.sql.dml import Delete, Insert, ReturningDelete, ReturningUpdate

from media_service.dialects import later_ms, now_ms
from media_service.storage.port import PartReceipt
from media_service.uploads.models import UploadPart, UploadSession


def insert_resumable(row: UploadSession, *, lifetime: timedelta) -> Insert:
    return insert(UploadSession).values(**row.column_values(), lease_until_ms=later_ms(lifetime))


def find(session_id: UUID) -> Select[UploadSession, bool]:
    """A resumable session, and whether its time is over by the database's clock.

    Those of ordinary uploads belong to nobody but the request that runs.
    """
    return select(UploadSession, UploadSession.lease_until_ms < now_ms()).where(
        UploadSession.id == session_id, UploadSession.announced.is_not(None)
    )


def parts_of(session_id: UUID) -> Select[UploadPart]:
    return select(UploadPart).where(UploadPart.session_id == session_id).order_by(UploadPart.number)


def acquire(session_id: UUID, *, holder: UUID, lease: timedelta) -> ReturningUpdate[UploadSession]:
    """Take the lock if it is free, or if its holder went away; returns the session as it is from now on."""
    is_free = UploadSession.holder.is_(None) | (UploadSession.lock_until_ms < now_ms())
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id, is_free)
        .values(
            # The old value: a holder that let go is none.
            is_torn=case((UploadSession.holder.is_not(None), True), else_=UploadSession.is_torn),
            fence=UploadSession.fence + 1,
            holder=holder,
            lock_until_ms=later_ms(lease),
            stop_requested=False,
        )
        .returning(UploadSession)
        .execution_options(synchronize_session=False)
    )


def ask_to_stop(session_id: UUID) -> ReturningUpdate[UUID]:
    """Tell a live holder that somebody waits; returns nothing if there is none."""
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id, UploadSession.holder.is_not(None))
        .values(stop_requested=True)
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )


def renew_locks(
    holders: Collection[UUID], *, lease: timedelta, lifetime: timedelta
) -> ReturningUpdate[UUID | None]:
    """Keep locks, and their sessions, alive; returns the holders that still hold them."""
    return (
        update(UploadSession)
        .where(UploadSession.holder.in_(holders))
        .values(lock_until_ms=later_ms(lease), lease_until_ms=later_ms(lifetime))
        .returning(UploadSession.holder)
        .execution_options(synchronize_session=False)
    )


def asked_to_stop(holders: Collection[UUID]) -> Select[UUID | None]:
    return select(UploadSession.holder).where(
        UploadSession.holder.in_(holders), UploadSession.stop_requested.is_(True)
    )


def live_holder(session_id: UUID) -> Select[UUID | None]:
    """Who holds the lock now, if anybody does."""
    return select(UploadSession.holder).where(
        UploadSession.id == session_id,
        UploadSession.holder.is_not(None),
        UploadSession.lock_until_ms >= now_ms(),
    )


def release(session_id: UUID, *, fence: int, is_torn: bool) -> Update:
    """Give the lock back. `is_torn`: something that was begun may still be written."""
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id, UploadSession.fence == fence)
        .values(holder=null(), lock_until_ms=null(), is_torn=UploadSession.is_torn | is_torn)
        .execution_options(synchronize_session=False)
    )


def change(
    session_id: UUID, *, fence: int, lifetime: timedelta, values: dict[str, Any]
) -> ReturningUpdate[UploadSession]:
    """Change a session under its fence, and let it live on; returns nothing to who lost the lock."""
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id, UploadSession.fence == fence)
        .values(**values, lease_until_ms=later_ms(lifetime))
        .returning(UploadSession)
        .execution_options(synchronize_session=False)
    )


def delete_held(session_id: UUID, *, fence: int) -> ReturningDelete[UUID]:
    return (
        delete(UploadSession)
        .where(UploadSession.id == session_id, UploadSession.fence == fence)
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )


def insert_parts(session_id: UUID, parts: Sequence[PartReceipt]) -> Insert:
    return insert(UploadPart).values(
        [
            {
                "session_id": session_id,
                "number": part.number,
                "size_bytes": part.size_bytes,
                "etag": part.etag,
            }
            for part in parts
        ]
    )


def delete_parts(session_id: UUID) -> Delete:
    return (
        delete(UploadPart)
        .where(UploadPart.session_id == session_id)
        .execution_options(synchronize_session=False)
    )


def current_tails(session_ids: Collection[UUID]) -> Select[str | None]:
    """The tails that these sessions have now."""
    return select(UploadSession.tail_key).where(UploadSession.id.in_(session_ids))
