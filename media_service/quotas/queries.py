"""Statements about what owners store. Core room: builds statements, runs none."""

from typing import Any
from uuid import UUID

from sqlalchemy import Update, bindparam, update

from media_service.auth.models import User

_users = User.metadata.tables[User.__tablename__]

_TOUCH = (
    update(_users).where(_users.c.id == bindparam("owner")).values(files_revision=_users.c.files_revision + 1)
)


def touch(owner_id: UUID) -> tuple[Update, dict[str, Any]]:
    """Note that descriptions of an owner's files changed; for `execute(*touch(...))`."""
    return _TOUCH, {"owner": owner_id}
