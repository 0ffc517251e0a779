"""Every statement about files and renditions, once. Core room: builds statements, runs none."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Delete, Select, bindparam, delete, insert, select, update
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from media_service.auth.models import User
from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.files.models import File, Rendition
from media_service.files.ordering import FileOrder
from media_service.files.search import with_terms
from media_service.models import first_id_of
from media_service.pagination import Cursor


@dataclass(frozen=True, slots=True)
class FileFilter:
    """What a list shall contain; None leaves a question open."""

    owner_id: UUID | None = None
    status: FileStatus | None = None
    kind: FileKind | None = None
    visibility: Visibility | None = None
    tag: str | None = None
    words: str | None = None
    """Words that name or tags must have."""


def file_by_id(file_id: UUID) -> Select[File]:
    """A file with its renditions."""
    return select(File).where(File.id == file_id).options(selectinload(File.renditions))


INSERT_FILES = insert(File.metadata.tables[File.__tablename__])
"""Rows come as dictionaries (`Base.column_values`)."""

BARE_FILE: Select[File] = select(File).where(File.id == bindparam("file_id"))
"""A file alone, by `file_id`; built once, since every download asks it."""

FILE_OF_ENABLED_OWNER: Select[File] = BARE_FILE.join(User, User.id == File.owner_id).where(
    User.disabled_at.is_(None)
)
"""The same unless its owner is disabled: what a signed URL may give."""


def bare_file_by_id(file_id: UUID) -> Select[File]:
    """A file alone."""
    return select(File).where(File.id == file_id)


def file_for_change(file_id: UUID) -> Select[File]:
    """A file alone, locked: a worker that publishes at this moment waits, and the change does not fail."""
    return bare_file_by_id(file_id).with_for_update()


def list_files(wanted: FileFilter, *, order: FileOrder, after: Cursor | None, limit: int) -> Select[File]:
    """One keyset page, `after` the last row of the page before. Raises MediaServiceError (invalid cursor)."""
    columns = {
        File.owner_id: wanted.owner_id,
        File.status: wanted.status,
        File.kind: wanted.kind,
        File.visibility: wanted.visibility,
    }
    statement = select(File).options(selectinload(File.renditions))
    statement = statement.where(*(column == value for column, value in columns.items() if value is not None))
    statement, row_id = with_terms(statement, owner_id=wanted.owner_id, tag=wanted.tag, words=wanted.words)
    return order.page(statement, row_id, after=after, limit=limit)


def rendition_by_name(file_id: UUID, name: str) -> Select[Rendition]:
    return select(Rendition).where(Rendition.file_id == file_id, Rendition.name == name)


def renditions_of(file_id: UUID) -> Select[Rendition]:
    """By size; small images have several of one size, and those stay in the order of their presets."""
    return select(Rendition).where(Rendition.file_id == file_id).order_by(Rendition.width_px, Rendition.id)


def delete_renditions(file_id: UUID, names: list[str]) -> Delete:
    return (
        delete(Rendition)
        .where(Rendition.file_id == file_id, Rendition.name.in_(names))
        .execution_options(synchronize_session=False)
    )


def change_file(
    file_id: UUID, *, version: int, at: datetime, changes: dict[str, Any]
) -> ReturningUpdate[int]:
    """Change a record that still has `version` (compare-and-set); no row means that it moved on."""
    return (
        update(File)
        .where(File.id == file_id, File.version == version)
        .values(**changes, version=File.version + 1, updated_at=at)
        .returning(File.version)
        .execution_options(synchronize_session=False)
    )


def set_status(
    file_id: UUID,
    *,
    status: FileStatus,
    at: datetime,
    reason: tuple[str, str] | None = None,
    described: dict[str, Any] | None = None,
) -> ReturningUpdate[UUID]:
    """Set a file's state, with why (code, detail) and what processing found out; no row: it is gone."""
    code, detail = reason or (None, None)
    return (
        update(File)
        .where(File.id == file_id)
        .values(
            status=status,
            status_code=code,
            status_detail=detail,
            version=File.version + 1,
            updated_at=at,
            **(described or {}),
        )
        .returning(File.owner_id)
        .execution_options(synchronize_session=False)
    )


def set_sha256(file_id: UUID, *, sha256: str, at: datetime) -> ReturningUpdate[UUID]:
    """Note what a worker has computed; no row: the file is gone."""
    return (
        update(File)
        .where(File.id == file_id)
        .values(sha256=sha256, version=File.version + 1, updated_at=at)
        .returning(File.owner_id)
        .execution_options(synchronize_session=False)
    )


def delete_file(file_id: UUID, *, version: int) -> Delete:
    """Delete a record that still has `version`; renditions and jobs go with it."""
    return (
        delete(File)
        .where(File.id == file_id, File.version == version)
        .execution_options(synchronize_session=False)
    )


def delete_files_of(owner_id: UUID, *, limit: int) -> ReturningDelete[UUID, int]:
    """Delete some of an owner's files, whatever their version; returns their ids and sizes."""
    some = select(File.id).where(File.owner_id == owner_id).order_by(File.id).limit(limit)
    return (
        delete(File)
        .where(File.id.in_(some.scalar_subquery()))
        .returning(File.id, File.size_bytes)
        .execution_options(synchronize_session=False)
    )


def files_by_ids(file_ids: Collection[UUID]) -> Select[File]:
    return select(File).where(File.id.in_(file_ids))


def described_files(file_ids: Collection[UUID]) -> Select[File]:
    """Files with their renditions."""
    return files_by_ids(file_ids).options(selectinload(File.renditions))


def settled_files(*, after: UUID | None, before: datetime, limit: int) -> Select[File]:
    """One page of the files that are older than a moment, with their renditions, in order of id.

    Bounded by id too: ids grow with time, so the many young ones at the end are not read to be left out.
    """
    statement = select(File).where(File.id < first_id_of(before), File.created_at < before)
    if after is not None:
        statement = statement.where(File.id > after)
    return statement.order_by(File.id).limit(limit).options(selectinload(File.renditions))


def renditions_of_files(file_ids: Collection[UUID]) -> Select[Rendition]:
    return select(Rendition).where(Rendition.file_id.in_(file_ids))


def raise_url_epoch(file_id: UUID) -> ReturningUpdate[int]:
    """End every URL of a file that the service signed so far."""
    return (
        update(File)
        .where(File.id == file_id)
        .values(url_epoch=File.url_epoch + 1)
        .returning(File.url_epoch)
        .execution_options(synchronize_session=False)
    )


def known_file_ids(file_ids: Collection[UUID]) -> Select[UUID]:
    """Which of these files exist."""
    return select(File.id).where(File.id.in_(file_ids))
