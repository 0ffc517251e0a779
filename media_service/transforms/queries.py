"""Every statement about results of images on the fly, once. Core room: builds statements, runs none."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Delete, Select, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from media_service.dialects import later_ms, now_ms
from media_service.exceptions import MediaServiceError
from media_service.models import utc_now
from media_service.transforms.models import Transform

_SILENT = {"synchronize_session": False}

_FORGOTTEN: dict[str, Any] = {"token": None, "error_kind": None, "error_code": None, "error_detail": None}

TRANSFORM: Select[Transform] = select(Transform).where(
    Transform.file_id == bindparam("file_id"), Transform.digest == bindparam("digest")
)
"""One result; built once, since every request for an image asks it."""

NOW = select(now_ms())


def claim_to_ask(
    dialect: str, file_id: UUID, digest: str, *, options: str, lease: timedelta
) -> ReturningInsert[str]:
    """Take the right to ask a worker for a result: a row means that nobody else does, and it is not there.

    A message that is lost costs `lease`: then the next who waits takes the right again.
    """
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    claim: dict[str, Any] = {"busy_until_ms": later_ms(lease), **_FORGOTTEN}
    return (
        insert(Transform)
        .values(file_id=file_id, digest=digest, options=options, created_at=utc_now(), **claim)
        .on_conflict_do_update(
            index_elements=[Transform.file_id, Transform.digest],
            set_=claim,
            where=Transform.sha256.is_(None) & (Transform.busy_until_ms < now_ms()),
        )
        .returning(Transform.digest)
    )


def give_back(file_id: UUID, digest: str) -> Any:
    """Let somebody else ask: the message could not be sent."""
    return (
        update(Transform)
        .where(
            Transform.file_id == file_id,
            Transform.digest == digest,
            Transform.sha256.is_(None),
            Transform.token.is_(None),
        )
        .values(busy_until_ms=0)
        .execution_options(**_SILENT)
    )


def claim_to_make(file_id: UUID, digest: str, *, token: UUID, lease: timedelta) -> ReturningUpdate[Transform]:
    """Take the work itself. No row: it is made, another worker makes it, or it failed a moment ago."""
    return (
        update(Transform)
        .where(
            Transform.file_id == file_id,
            Transform.digest == digest,
            Transform.sha256.is_(None),
            or_(Transform.token.is_(None), Transform.busy_until_ms < now_ms()),
        )
        .values(token=token, busy_until_ms=later_ms(lease))
        .returning(Transform)
        .execution_options(**_SILENT)
    )


def publish(token: UUID, *, file_id: UUID, digest: str, at: datetime, **made: Any) -> ReturningUpdate[str]:
    """Record a result, if `token` still holds the work; no row: it was taken over, or the file is gone."""
    return (
        update(Transform)
        .where(
            Transform.file_id == file_id,
            Transform.digest == digest,
            Transform.token == token,
            Transform.sha256.is_(None),
        )
        .values(made_at=at, **made, **_FORGOTTEN)
        .returning(Transform.digest)
        .execution_options(**_SILENT)
    )


def fail(
    token: UUID, *, file_id: UUID, digest: str, error: MediaServiceError, remembered_for: timedelta
) -> ReturningUpdate[str]:
    """Record why there is no result; nobody tries again before `remembered_for` is over."""
    return (
        update(Transform)
        .where(Transform.file_id == file_id, Transform.digest == digest, Transform.token == token)
        .values(
            busy_until_ms=later_ms(remembered_for),
            error_kind=error.kind.value,
            error_code=error.code,
            error_detail=error.detail,
        )
        .returning(Transform.digest)
        .execution_options(**_SILENT)
    )


def forget(file_id: UUID, digest: str, *, sha256: str) -> Delete:
    """Drop a result whose bytes are lost, so that it is made again."""
    return (
        delete(Transform)
        .where(Transform.file_id == file_id, Transform.digest == digest, Transform.sha256 == sha256)
        .execution_options(**_SILENT)
    )


def made_of_files(file_ids: Collection[UUID]) -> Select[Transform]:
    """All results of some files that have bytes."""
    return select(Transform).where(Transform.file_id.in_(file_ids), Transform.sha256.is_not(None))


def being_made_of(file_ids: Collection[UUID]) -> Select[UUID]:
    """Those of these files that a worker makes a result of right now."""
    return (
        select(Transform.file_id)
        .where(
            Transform.file_id.in_(file_ids),
            Transform.sha256.is_(None),
            Transform.busy_until_ms >= now_ms(),
        )
        .distinct()
    )
