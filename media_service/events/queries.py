"""Every statement about events, once. Core room: builds statements, runs none."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.sql.dml import ReturningDelete

from media_service.events.models import Event


def delete_events_of(owner_id: UUID, *, limit: int) -> ReturningDelete[int]:
    """Forget some of what happened to an owner's files; returns ids."""
    some = select(Event.id).where(Event.owner_id == owner_id).order_by(Event.id).limit(limit)
    return (
        delete(Event)
        .where(Event.id.in_(some.scalar_subquery()))
        .returning(Event.id)
        .execution_options(synchronize_session=False)
    )
