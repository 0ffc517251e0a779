"""Every statement about upload sessions, once. Core room: builds statements, runs none."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Integer,
    Select,
    Update,
    Uuid,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningDelete

from media_service.dialects import later_ms, now_ms
from media_service.models import UtcDateTime, utc_now
from media_service.uploads.models import UploadSession


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a session holds of its owner's quota."""

    size_bytes: int = 0
    files: int = 0


NOTHING = Reserved()


def insert_session(
    session_id: UUID, *, owner_id: UUID, protocol: str, lease: timedelta, reserved: Reserved = NOTHING
) -> Insert:
    """Claim a session's bytes; does nothing where the claim is there: its first answer may have been lost."""
    known = select(UploadSession.id).where(UploadSession.id == session_id).exists()
    row = select(
        literal(session_id, Uuid()),
        literal(owner_id, Uuid()),
        literal(protocol),
        later_ms(lease),
        literal(utc_now(), UtcDateTime()),
        literal(reserved.size_bytes, BigInteger()),
        literal(reserved.files, Integer()),
    ).where(~known)
    columns = [
        "id", "owner_id", "protocol", "lease_until_ms", "created_at", "reserved_bytes", "reserved_files"
    ]  # fmt: skip
    return insert(UploadSession).from_select(columns, row, include_defaults=False)


def set_storage_upload(session_id: UUID, storage_upload_id: str) -> Update:
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id)
        .values(storage_upload_id=storage_upload_id)
        .execution_options(synchronize_session=False)
    )


def renew_sessions(session_ids: Sequence[UUID], *, lease: timedelta) -> Update:
    return (
        update(UploadSession)
        .where(UploadSession.id.in_(session_ids))
        .values(lease_until_ms=later_ms(lease))
        .execution_options(synchronize_session=False)
    )


def delete_sessions(session_ids: Sequence[UUID]) -> ReturningDelete[UUID]:
    """Give up claims; returns those that were still there."""
    return (
        delete(UploadSession)
        .where(UploadSession.id.in_(session_ids))
        .returning(UploadSession.id)
        .execution_options(synchronize_session=False)
    )


def abandoned_sessions(*, after: UUID | None, limit: int) -> Select[UploadSession]:
    """One page of the claims whose process went away without a word, in order of id."""
    statement = select(UploadSession).where(UploadSession.lease_until_ms < now_ms())
    if after is not None:
        statement = statement.where(UploadSession.id > after)
    return statement.order_by(UploadSession.id).limit(limit)


def take_abandoned_sessions(session_ids: Collection[UUID]) -> ReturningDelete[UploadSession]:
    """Delete those of these claims that are abandoned still, and return them.

    The claim goes before the bytes: a process that was only paused then finds, at its commit, that it has
    lost them (`delete_sessions` returns nothing), and acknowledges nothing.
    """
    return (
        delete(UploadSession)
        .where(UploadSession.id.in_(session_ids), UploadSession.lease_until_ms < now_ms())
        .returning(UploadSession)
        .execution_options(synchronize_session=False)
    )


def known_session_ids(file_ids: Collection[UUID]) -> CompoundSelect[UUID]:
    """Which of these files are on their way: by the id of their session, or by the one it gives its file."""
    by_file = select(UploadSession.file_id).where(UploadSession.file_id.in_(file_ids))
    return select(UploadSession.id).where(UploadSession.id.in_(file_ids)).union_all(by_file)


def count_sessions_of_token(owner_id: UUID, token_id: UUID) -> Select[int]:
    """How many uploads that were begun with an upload token have not ended; the owner's index finds them."""
    return _sessions_of_token(owner_id, token_id).where(
        or_(UploadSession.concat_header.is_(None), UploadSession.concat_header != "partial"),
        UploadSession.is_finished.is_(False),
    )


def count_pieces_of_token(owner_id: UUID, token_id: UUID) -> Select[int]:
    """How many partial uploads (tus 1.0, concatenation) of an upload token are there."""
    return _sessions_of_token(owner_id, token_id).where(UploadSession.concat_header == "partial")


def _sessions_of_token(owner_id: UUID, token_id: UUID) -> Select[int]:
    return select(func.count()).where(
        UploadSession.owner_id == owner_id, UploadSession.upload_token_id == token_id
    )
