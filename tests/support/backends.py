"""A database and a storage that belong together, as the API and the jobs are tested on them.

Built once per run and emptied between tests: deleting the few rows and objects of a test takes a few
milliseconds, a database and a bucket of its own would take a hundred.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import delete, inspect, select, update

from media_service.auth.keys import generate_key
from media_service.auth.models import ApiKey, KeyOrigin, Role, User
from media_service.blocking_database import Database
from media_service.config import Settings
from media_service.models import new_id
from media_service.storage.keys import ORIGINALS, RENDITIONS, TAILS
from media_service.storage.port import Storage
from media_service.tables import (
    Base,
    Event,
    File,
    IdempotencyKey,
    Job,
    Lease,
    LoginSession,
    RefreshToken,
    Rendition,
    UploadSession,
    UploadToken,
    WorkerProcess,
)

ADMIN_KEY = "the-admin-key-of-the-tests"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
ALL_SCOPES = ("files:read", "files:write", "files:delete", "jobs:read", "jobs:write")

Row = TypeVar("Row", bound=Base)


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Settings of these values and the defaults alone: no `.env` of whoever runs the tests takes part.

    Without rate limits, unless a test asks for them: one key and one address send all there is.
    """
    return Settings(_env_file=None, **{"rate_limits": False, **values})


@dataclass(frozen=True, slots=True)
class Owner:
    """A user with an API key."""

    id: UUID
    headers: dict[str, str]

    @property
    def key(self) -> str:
        return self.headers["Authorization"].removeprefix("Bearer ")


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the rows and the bytes of a test are, seen from behind the API."""

    name: str
    values: dict[str, Any]
    """The settings that lead to it."""
    database: Database
    storage: Storage
    new_database: Callable[[], str] = field(repr=False)
    """The URL of another database of the same kind, migrated and empty."""
    empty_storage: Callable[[], None] = field(repr=False)

    @property
    def is_s3(self) -> bool:
        return bool(self.values["storage"] == "s3")

    def settings(self, **changes: Any) -> Settings:
        return make_settings({**self.values, **changes})

    def add_owner(
        self,
        *,
        scopes: tuple[str, ...] = ALL_SCOPES,
        role: Role = Role.USER,
        expires_at: datetime | None = None,
        revoked_at: datetime | None = None,
        quota_bytes: int | None = None,
        quota_files: int | None = None,
    ) -> Owner:
        """A new user with a key of these scopes."""
        user = User(id=new_id(), role=role, quota_bytes=quota_bytes, quota_files=quota_files)
        key = generate_key(owner_id=user.id, name="test", scopes=list(scopes), origin=KeyOrigin.API)
        key.row.expires_at, key.row.revoked_at = expires_at, revoked_at
        with self.database.transaction() as session:
            session.add(user)
            session.flush()
            session.add(key.row)
        return Owner(user.id, {"Authorization": f"Bearer {key.text}"})

    def rows(self, table: type[Row]) -> list[Row]:
        """Every row of a table, in order of its key."""
        with self.database.read() as session:
            return list(session.scalars(select(table).order_by(*inspect(table).primary_key)))

    def are_gone(self, table: type[Row]) -> bool:
        """Whether a table is empty, or soon will be: what a heartbeat was just inserting goes right after."""
        deadline = time.monotonic() + 10
        while self.rows(table) and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.rows(table)

    def keys(self) -> set[str]:
        """The keys of all objects."""
        return {
            found.key
            for prefix in (ORIGINALS, RENDITIONS, TAILS)
            for found in self.storage.list_objects(prefix)
        }

    def read(self, key: str) -> bytes:
        """The bytes of an object."""
        with self.storage.open(key) as reader:
            return b"".join(iter(lambda: reader.read(1024 * 1024), b""))

    def leftovers(self) -> dict[str, list[Any]]:
        """All that a refused upload must not leave; empty if there is nothing."""
        tables: tuple[type[Base], ...] = (File, Rendition, Job, Event, UploadSession, IdempotencyKey)
        found: dict[str, list[Any]] = {table.__tablename__: list(self.rows(table)) for table in tables}
        found["objects"] = sorted(self.keys())
        found["open uploads"] = [upload.upload_id for upload in self.storage.list_uploads()]
        return {name: things for name, things in found.items() if things}

    def clear(self) -> None:
        """Remove what a test made; the admin and the signing key stay."""
        with self.database.transaction() as session:
            for table in (
                Event, UploadSession, IdempotencyKey, Job, Rendition, File, Lease, WorkerProcess,
                RefreshToken, LoginSession, UploadToken,
            ):  # fmt: skip
                session.execute(delete(table))
            session.execute(delete(ApiKey).where(ApiKey.origin == KeyOrigin.API))
            with_key = select(ApiKey.owner_id)
            session.execute(delete(User).where(User.id.not_in(with_key)))
            session.execute(
                update(User).values(
                    email=None, password_hash=None, disabled_at=None, stored_bytes=0, stored_files=0
                )
            )
        self.empty_storage()


def delete_everything(storage: Storage) -> None:
    """Every object and every upload, one by one."""
    storage.delete(
        [found.key for prefix in (ORIGINALS, RENDITIONS, TAILS) for found in storage.list_objects(prefix)]
    )
    for upload in list(storage.list_uploads()):
        storage.abort_upload(upload.key, upload.upload_id)
