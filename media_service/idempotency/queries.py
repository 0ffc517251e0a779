"""Every statement about idempotency keys, once. Core room: builds statements, runs none."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Delete, Select, Update, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

from media_service.dialects import later_ms, now_ms
from media_service.idempotency.models import IdempotencyKey

_SILENT = {"synchronize_session": False}


def claim_key(
    dialect: str, owner_id: UUID, key: str, *, token: UUID, lease: timedelta
) -> ReturningInsert[UUID]:
    """Claim a key that nobody holds: a new one, or one whose time is over; no row: it is held."""
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    claim: dict[str, Any] = {"token": token, "fingerprint": None, "made_ids": [], "until_ms": later_ms(lease)}
    return (
        insert(IdempotencyKey)
        .values(owner_id=owner_id, key=key, **claim)
        .on_conflict_do_update(
            index_elements=[IdempotencyKey.owner_id, IdempotencyKey.key],
            set_=claim,
            where=IdempotencyKey.until_ms < now_ms(),
        )
        .returning(IdempotencyKey.token)
    )


def held_key(owner_id: UUID, key: str) -> Select[IdempotencyKey]:
    return select(IdempotencyKey).where(IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key)


def complete_key(
    token: UUID, *, fingerprint: str, made_ids: Sequence[str], retention: timedelta
) -> ReturningUpdate[UUID]:
    """Turn a claim into a record, in the transaction that makes what it records; no row: it is lost."""
    return (
        update(IdempotencyKey)
        .where(IdempotencyKey.token == token, IdempotencyKey.fingerprint.is_(None))
        .values(fingerprint=fingerprint, made_ids=list(made_ids), until_ms=later_ms(retention))
        .returning(IdempotencyKey.token)
        .execution_options(**_SILENT)
    )


def renew_claims(tokens: Collection[UUID], *, lease: timedelta) -> Update:
    return (
        update(IdempotencyKey)
        .where(IdempotencyKey.token.in_(tokens), IdempotencyKey.fingerprint.is_(None))
        .values(until_ms=later_ms(lease))
        .execution_options(**_SILENT)
    )


def release_claim(token: UUID) -> Delete:
    return (
        delete(IdempotencyKey)
        .where(IdempotencyKey.token == token, IdempotencyKey.fingerprint.is_(None))
        .execution_options(**_SILENT)
    )


def past_keys(*, after: UUID | None, limit: int) -> Select[UUID]:
    """One page of the tokens of keys whose time is over, in their order."""
    statement = select(IdempotencyKey.token).where(IdempotencyKey.until_ms < now_ms())
    if after is not None:
        statement = statement.where(IdempotencyKey.token > after)
    return statement.order_by(IdempotencyKey.token).limit(limit)


def delete_past_keys(tokens: Collection[UUID]) -> ReturningDelete[UUID]:
    """Forget those of these keys whose time is over still; returns their tokens."""
    return (
        delete(IdempotencyKey)
        .where(IdempotencyKey.token.in_(tokens), IdempotencyKey.until_ms < now_ms())
        .returning(IdempotencyKey.token)
        .execution_options(**_SILENT)
    )
