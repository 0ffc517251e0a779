"""Every statement about upload sessions, once. Core room: builds statements, runs none."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Delete, Select, Update, delete, insert, select, update
from sqlalchemy.sql.dml import Insert

from media_service.dialects import now_ms
from media_service.uploads.models import UploadSession


def _until(lease: timedelta) -> now_ms:
    return now_ms() + int(lease.total_seconds() * 1000)  # type: ignore[return-value]  # an SQL expression


def insert_session(session_id: UUID, *, owner_id: UUID, protocol: str, lease: timedelta) -> Insert:
    return insert(UploadSession).values(
        id=session_id, owner_id=owner_id, protocol=protocol, lease_until_ms=_until(lease)
    )


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
        .values(lease_until_ms=_until(lease))
        .execution_options(synchronize_session=False)
    )


def delete_sessions(session_ids: Sequence[UUID]) -> Delete:
    return (
        delete(UploadSession)
        .where(UploadSession.id.in_(session_ids))
        .execution_options(synchronize_session=False)
    )


def abandoned_sessions(*, limit: int) -> Select[UploadSession]:
    """Sessions whose process went away without a word."""
    return select(UploadSession).where(UploadSession.lease_until_ms < now_ms()).limit(limit)


def live_storage_uploads(storage_upload_ids: Sequence[str]) -> Select[str | None]:
    """Which of these uploads of the storage belong to a session."""
    return select(UploadSession.storage_upload_id).where(
        UploadSession.storage_upload_id.in_(storage_upload_ids)
    )
