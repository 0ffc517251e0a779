"""Where resumable uploads meet the quota and the upload token of who sends them. Core room.

Each function runs inside the transaction that makes the change it is about, and refuses with a
MediaServiceError. What a session reserves stands in its row, so it goes with the row; the file is charged by
the finalizer, after `RELEASED` was written down.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.quotas.queries import set_reservation
from media_service.quotas.reservations import reserve
from media_service.uploads.grants import use_grant
from media_service.uploads.models import UploadSession
from media_service.uploads.queries import count_pieces_of_token

MAX_PIECES_PER_FILE = 16
"""Partial uploads that an upload token may have at a time for each of its files: they are no files yet, and
would else be without a bound. tus-js-client makes as many as its `parallelUploads`, usually 2 to 4."""

RELEASED: dict[str, Any] = {"reserved_bytes": 0, "reserved_files": 0}
"""What a session reserves whose file is charged in the same transaction."""


def reserve_at_creation(session: Session, caller: Caller, row: UploadSession) -> None:
    """Before a new session is inserted; its `length_bytes` is None if the client will say it later."""
    row.upload_token_id = caller.upload_token.id if caller.upload_token is not None else None
    row.reserved_bytes = row.length_bytes or 0
    row.reserved_files = 0 if row.is_partial else 1
    reserve(session, row.owner_id, size_bytes=row.reserved_bytes, files=row.reserved_files)


def check_grant(session: Session, caller: Caller, row: UploadSession) -> None:
    """After a new session was inserted: it counts against the caller's upload token while it lives."""
    grant = caller.upload_token
    if grant is None:
        return
    use_grant(session, caller, files=0)
    pieces = session.scalars(count_pieces_of_token(row.owner_id, grant.id)).one()
    if pieces > MAX_PIECES_PER_FILE * max(grant.remaining_files, 1):
        raise MediaServiceError(
            ErrorKind.FORBIDDEN,
            "too-many-partial-uploads",
            "This upload token has too many partial uploads; join them, or end them.",
        )


def cover(session: Session, row: UploadSession, *, size_bytes: int) -> dict[str, Any]:
    """When the length of a session becomes known, or its bytes outgrow what it reserves: the new columns."""
    if size_bytes <= row.reserved_bytes:
        return {}
    reserve(session, row.owner_id, size_bytes=size_bytes, files=row.reserved_files, but=[row.id])
    return {"reserved_bytes": size_bytes}


def release_pieces(session: Session, pieces: Sequence[UploadSession]) -> None:
    """When the file that partial uploads were for is charged: nobody pays twice for the same bytes."""
    for piece in pieces:
        session.execute(set_reservation(piece.id, size_bytes=0, files=0))
