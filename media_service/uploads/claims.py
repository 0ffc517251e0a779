"""Claims on bytes that live without a process that renews them. Core room."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.dialects import later_ms
from media_service.quotas.queries import set_reservation
from media_service.quotas.reservations import reserve
from media_service.uploads.models import UploadSession


def claim(
    session: Session,
    session_id: UUID,
    *,
    owner_id: UUID,
    protocol: str,
    size_bytes: int | None,
    lease: timedelta,
    upload_token_id: UUID | None = None,
) -> None:
    """Insert a session that reserves one file of a size until it is stored, given up, or its lease is over.

    The one place where direct uploads, Companion's and imports begin; a size of None is not known yet.
    Raises MediaServiceError: quota exceeded, unauthenticated (the owner was deleted).
    """
    reserve(session, owner_id, size_bytes=size_bytes or 0, files=1)
    session.add(
        UploadSession(
            id=session_id,
            owner_id=owner_id,
            upload_token_id=upload_token_id,
            protocol=protocol,
            reserved_bytes=size_bytes or 0,
            reserved_files=1,
            lease_until_ms=later_ms(lease),
        )
    )
    session.flush()


def cover(session: Session, session_id: UUID, *, owner_id: UUID, size_bytes: int) -> bool:
    """Reserve for a size that has become known; False: the session is gone.

    Raises MediaServiceError as `claim` does; then it reserves what it did before.
    """
    reserve(session, owner_id, size_bytes=size_bytes, files=1, but=[session_id])
    statement = set_reservation(session_id, size_bytes=size_bytes, files=1)
    return session.execute(statement).first() is not None
