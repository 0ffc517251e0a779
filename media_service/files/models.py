"""Files and their renditions. Core room."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.files.terms import MAX_TERM_CHARACTERS
from media_service.models import Base, new_id, utc_now, value_enum
from media_service.storage.keys import original_key, rendition_key

Term = String(MAX_TERM_CHARACTERS).with_variant(String(MAX_TERM_CHARACTERS, collation="C"), "postgresql")
"""Compared character by character: all that begin with "ab" are then one stretch of the index."""


class Rendition(Base):
    """A processed version of a file; its row owns the object at `key`."""

    __tablename__ = "renditions"
    __table_args__ = (UniqueConstraint("file_id", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(32))
    recipe: Mapped[str] = mapped_column(String(16))
    content_type: Mapped[str] = mapped_column(String(127))
    width_px: Mapped[int]
    height_px: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    @property
    def key(self) -> str:
        return rendition_key(self.file_id, recipe=self.recipe, sha256=self.sha256)


class FileTerm(Base):
    """A word or a tag by which a file is found (`terms.py`)."""

    __tablename__ = "file_terms"
    __table_args__ = (
        # All files of an owner with one term, in order of creation: a page of them is read off the index.
        Index(None, "owner_id", "term", "file_id"),
    )

    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"), primary_key=True)
    term: Mapped[str] = mapped_column(Term, primary_key=True)
    owner_id: Mapped[UUID]


class File(Base):
    """What a user uploaded. The original's bytes never change; everything else is description."""

    __tablename__ = "files"
    __table_args__ = (
        # Lists are pages of one owner in order of id, which is the order of time (UUIDv7).
        Index(None, "owner_id", "id"),
        Index(None, "owner_id", "status", "id"),
        Index(None, "owner_id", "kind", "id"),
        Index(None, "owner_id", "filename", "id"),
        Index(None, "owner_id", "size_bytes", "id"),
        # Most files are private, and finding those needs no help.
        Index(
            "ix_files_owner_id_id_public",
            "owner_id",
            "id",
            postgresql_where=text("visibility = 'public'"),
            sqlite_where=text("visibility = 'public'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    filename: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(127))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    kind: Mapped[FileKind] = mapped_column(value_enum(FileKind))
    status: Mapped[FileStatus] = mapped_column(value_enum(FileStatus))
    status_code: Mapped[str | None] = mapped_column(String(64))
    status_detail: Mapped[str | None] = mapped_column(String(500))
    visibility: Mapped[Visibility] = mapped_column(value_enum(Visibility))
    tags: Mapped[list[str]]
    custom: Mapped[dict[str, Any]]
    media: Mapped[dict[str, Any]]
    """What processing found out (width, height, EXIF ...); `metadata` in the API."""
    placeholder: Mapped[dict[str, Any] | None]
    version: Mapped[int] = mapped_column(Integer, default=1)
    """Counts every change of the record; the `etag` of the API."""
    url_epoch: Mapped[int] = mapped_column(Integer, default=0)
    """Part of what signed URLs sign; raising it ends all of them."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)

    renditions: Mapped[list[Rendition]] = relationship(
        lazy="raise", order_by=(Rendition.width_px, Rendition.id), passive_deletes=True
    )

    @property
    def key(self) -> str:
        return original_key(self.id)
