"""Uploads whose bytes the client sends to the storage itself, or by signed URLs. Core room."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base
from media_service.storage.keys import original_key


class DirectUpload(Base):
    """What a session must know whose bytes come without us. Its session's lease is its whole life."""

    __tablename__ = "direct_uploads"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("upload_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    is_presigned: Mapped[bool]
    """The storage takes the parts; else this service does."""
    filename: Mapped[str] = mapped_column(String(255))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """As announced; null where the protocol has no word for it (Companion)."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """As announced; a worker compares."""
    part_size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of all parts but the last."""
    piece_size_bytes: Mapped[int] = mapped_column(BigInteger)
    """In which the storage is given what this service takes."""
    fields: Mapped[dict[str, Any]]
    """What the file shall have: visibility, tags, custom."""
    expires_at: Mapped[datetime]

    @property
    def key(self) -> str:
        return original_key(self.session_id)


class DirectPart(Base):
    """A part that this service took. What S3 took, S3 lists."""

    __tablename__ = "direct_parts"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("direct_uploads.session_id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str] = mapped_column(String(64))
    piece_etags: Mapped[list[str]]
    """Of the storage's receipts, in order; all pieces but the last have the size of a piece."""
