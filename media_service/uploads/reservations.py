"""Where an upload that lives without a process takes its place in its owner's quota. Core room."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.dialects import later_ms
from media_service.uploads.models import UploadSession


def reserve(
    session: Session, *, session_id: UUID, owner_id: UUID, protocol: str, size_bytes: int, lease: timedelta
) -> None:
    """Insert a session that reserves one file of a size until it is stored, given up, or its lease is over.

    The one place where direct uploads, Companion's and imports reserve. No process renews the lease.
    """
    session.add(
        UploadSession(
            id=session_id,
            owner_id=owner_id,
            protocol=protocol,
            reserved_bytes=size_bytes,
            reserved_files=1,
            lease_until_ms=later_ms(lease),
        )
    )
    session.flush()
