"""Statements about what owners store. Core room: builds statements, runs none."""

from uuid import UUID

from sqlalchemy import Update, update

from media_service.auth.models import User


def touch(owner_id: UUID) -> Update:
    """Say that something a description of this owner's files shows is changed by this transaction."""
    return (
        update(User)
        .where(User.id == owner_id)
        .values(files_revision=User.files_revision + 1)
        .execution_options(synchronize_session=False)
    )
