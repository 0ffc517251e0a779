"""What happened: appended in the transaction that makes it so. Core room."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, insert
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, SequenceNumber, utc_now


class EventType(StrEnum):
    FILE_CREATED = "file.created"
    FILE_PROCESSING = "file.processing"
    RENDITION_READY = "rendition.ready"
    FILE_READY = "file.ready"
    FILE_FAILED = "file.failed"
    FILE_DELETED = "file.deleted"


class Event(Base):
    """`file_id` is no foreign key: the history of a file outlives it."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "file_id", "id"), Index(None, "owner_id", "id"))

    id: Mapped[int] = mapped_column(SequenceNumber, primary_key=True, autoincrement=True)
    type: Mapped[str] = mapped_column(String(32))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    file_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


def event(type_: EventType, *, owner_id: UUID, file_id: UUID, **data: Any) -> Event:
    """An event row, to be added in the transaction that makes it true."""
    return Event(type=type_, owner_id=owner_id, file_id=file_id, data=data)


INSERT_EVENTS = insert(Event.metadata.tables[Event.__tablename__])
"""Rows come as dictionaries (`Base.column_values`)."""
