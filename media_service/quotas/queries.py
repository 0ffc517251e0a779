"""Every statement about what owners store and reserve, once. Core room: builds statements, runs none.

`users.stored_bytes` and `stored_files` count originals. They change in the transactions that insert or delete
rows of files, and in no other, for owners without a quota too: one that is set later is then right at once.
Those transactions end with `charge`, all others that change what a description of a file shows end with
`touch`: both raise `files_revision`, which caches of descriptions are keyed by. Last, because the row of the
owner stays locked until the commit.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Select, Update, bindparam, cast, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from media_service.auth.models import User
from media_service.files.models import File
from media_service.uploads.models import UploadSession

_SILENT = {"synchronize_session": False}

_users = User.metadata.tables[User.__tablename__]

Figures = tuple[int | None, int | None, int, int]
"""Quotas and what is stored, each in bytes and in files."""

_FIGURES = (User.quota_bytes, User.quota_files, User.stored_bytes, User.stored_files)

# Run by every upload, so they are built once.
_CHARGE: ReturningUpdate[datetime | None, int | None, int | None, int, int] = (
    update(_users)
    .where(_users.c.id == bindparam("owner"))
    .values(
        stored_bytes=_users.c.stored_bytes + bindparam("more_bytes", type_=BigInteger()),
        stored_files=_users.c.stored_files + bindparam("more_files", type_=BigInteger()),
        files_revision=_users.c.files_revision + 1,
    )
    .returning(
        _users.c.disabled_at,
        _users.c.quota_bytes,
        _users.c.quota_files,
        _users.c.stored_bytes,
        _users.c.stored_files,
    )
)
_TOUCH = (
    update(_users).where(_users.c.id == bindparam("owner")).values(files_revision=_users.c.files_revision + 1)
)

_RESERVED: Select[int, int] = select(
    cast(func.coalesce(func.sum(UploadSession.reserved_bytes), 0), BigInteger),
    cast(func.coalesce(func.sum(UploadSession.reserved_files), 0), BigInteger),
).where(
    UploadSession.owner_id == bindparam("owner"), UploadSession.id.not_in(bindparam("but", expanding=True))
)


def charge(
    owner_id: UUID, *, size_bytes: int, files: int
) -> tuple[ReturningUpdate[datetime | None, int | None, int | None, int, int], dict[str, Any]]:
    """Count files that are made, or by negative numbers files that are deleted; for `execute(*charge(...))`.

    Returns since when the owner is disabled, and the owner's `Figures` with them; no row: the owner is gone.
    """
    return _CHARGE, {"owner": owner_id, "more_bytes": size_bytes, "more_files": files}


def touch(owner_id: UUID) -> tuple[Update, dict[str, Any]]:
    """Note that descriptions of an owner's files changed; for `execute(*touch(...))`."""
    return _TOUCH, {"owner": owner_id}


def figures_for_change(owner_id: UUID) -> Select[int | None, int | None, int, int]:
    """The `Figures` of an owner, locked against every other change of them.

    FOR NO KEY UPDATE: rows that refer to the owner are inserted meanwhile without waiting.
    """
    return select(*_FIGURES).where(User.id == owner_id).with_for_update(key_share=True)


def reserved(owner_id: UUID, *, but: Collection[UUID] = ()) -> tuple[Select[int, int], dict[str, Any]]:
    """Bytes and files that the uploads of an owner reserve, but some; for `execute(*reserved(...))`.

    Has to be a statement of its own after the lock: under READ COMMITTED each statement sees what was
    committed before it began, and a subquery of the locking one would miss what was reserved while it waited.
    """
    return _RESERVED, {"owner": owner_id, "but": list(but)}


def set_reservation(session_id: UUID, *, size_bytes: int, files: int) -> ReturningUpdate[UUID]:
    """What a session reserves from now on; no row: it was taken away."""
    return (
        update(UploadSession)
        .where(UploadSession.id == session_id)
        .values(reserved_bytes=size_bytes, reserved_files=files)
        .returning(UploadSession.id)
        .execution_options(**_SILENT)
    )


def stored(owner_id: UUID) -> Select[int, int]:
    """Bytes and files of an owner, counted anew."""
    return select(_sum_of_sizes(), func.count()).where(File.owner_id == owner_id)


def counted_users(*, after: UUID | None, limit: int) -> Select[UUID, int, int, int, int]:
    """One page of all users in order of id: id, `stored_bytes`, `stored_files`, and both counted anew.

    One statement sees one moment, and each transaction changes rows and counters together: a difference is
    one.
    """
    of_user = File.owner_id == User.id
    statement = select(
        User.id,
        User.stored_bytes,
        User.stored_files,
        select(_sum_of_sizes()).where(of_user).scalar_subquery(),
        select(func.count()).where(of_user).scalar_subquery(),
    )
    if after is not None:
        statement = statement.where(User.id > after)
    return statement.order_by(User.id).limit(limit)


def correct_stored(owner_id: UUID, *, size_bytes: int, files: int) -> Update:
    """Overwrite the counters; the owner has to be locked since before the files were counted."""
    return (
        update(User)
        .where(User.id == owner_id)
        .values(stored_bytes=size_bytes, stored_files=files)
        .execution_options(**_SILENT)
    )


def _sum_of_sizes() -> Any:
    return cast(func.coalesce(func.sum(File.size_bytes), 0), BigInteger)
