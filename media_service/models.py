"""What all tables share: the declarative base, names of constraints, times in UTC. Core room."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import uuid_utils
from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, Integer, MetaData, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

# Alembic can only change a constraint that has a name, and databases invent different ones.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on every database; SQLite itself would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JsonDocument = JSON().with_variant(JSONB(), "postgresql")
"""A JSON column; on PostgreSQL one that can be indexed and searched."""

SequenceNumber = BigInteger().with_variant(Integer(), "sqlite")
"""A key that the database counts up; SQLite counts only a column that is spelled INTEGER."""


def value_enum(members: type[StrEnum]) -> Enum:
    """A column that holds the value of a StrEnum as text; a new member needs no migration."""
    return Enum(members, native_enum=False, length=32, values_callable=lambda cls: [m.value for m in cls])


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JsonDocument, list[str]: JsonDocument}  # noqa: RUF012 - SQLAlchemy reads it as a class attribute

    def column_values(self) -> dict[str, Any]:
        """What was set of a row that is in no session yet, for a plain INSERT; defaults fill the rest."""
        return {key: value for key, value in self.__dict__.items() if key in self.__table__.columns}


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7): sorts by time of creation, so keyset pages and indexes stay local."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def first_id_of(moment: datetime) -> UUID:
    """The least UUIDv7 that could be made at a moment: all that were made before it are less."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def utc_now() -> datetime:
    """This machine's clock; good for records that people read, never for leases (`dialects.now_ms`)."""
    return datetime.now(UTC)
