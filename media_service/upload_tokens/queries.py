"""Every statement about upload tokens but the look-up of one. Core room: builds statements, runs none."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from media_service.auth.models import UploadToken

USE_TOKEN: ReturningUpdate[int] = (
    update(UploadToken)
    .where(UploadToken.id == bindparam("token_id"), UploadToken.revoked_at.is_(None))
    .values(used_files=UploadToken.used_files + bindparam("files"))
    .returning(UploadToken.max_files - UploadToken.used_files)
    .execution_options(synchronize_session=False)
)
"""Use some files of a token, and lock its row; returns what is left, which may be less than nothing: then
the transaction must not commit. No row: it was revoked meanwhile.

Expiry is not asked: an upload that began in time may end.
"""


def list_tokens(owner_id: UUID, *, after: UUID | None, limit: int) -> Select[UploadToken]:
    """One keyset page of the tokens that were not revoked, newest first."""
    statement = select(UploadToken).where(UploadToken.owner_id == owner_id, UploadToken.revoked_at.is_(None))
    if after is not None:
        statement = statement.where(UploadToken.id < after)
    return statement.order_by(UploadToken.id.desc()).limit(limit)


def token_for_change(token_id: UUID) -> Select[UploadToken]:
    """A token that was not revoked, locked."""
    return (
        select(UploadToken)
        .where(UploadToken.id == token_id, UploadToken.revoked_at.is_(None))
        .with_for_update()
    )


def past_tokens(*, before: datetime, after: UUID | None, limit: int) -> Select[UUID]:
    """One page of the ids of tokens that expired before then, in their order."""
    statement = select(UploadToken.id).where(UploadToken.expires_at < before)
    if after is not None:
        statement = statement.where(UploadToken.id > after)
    return statement.order_by(UploadToken.id).limit(limit)


def delete_tokens(token_ids: Collection[UUID]) -> ReturningDelete[UUID]:
    """Forget tokens; returns the ids of those that were there."""
    return (
        delete_from(UploadToken)
        .where(UploadToken.id.in_(token_ids))
        .returning(UploadToken.id)
        .execution_options(synchronize_session=False)
    )
