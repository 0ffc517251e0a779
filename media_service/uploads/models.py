"""Uploads that are on their way. Core room."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, utc_now


class UploadSession(Base):
    """An upload that outgrew its first part: the claim on its bytes until a file row owns them.

    The process that receives it renews `lease_until_ms`; the sweeper takes a session whose lease ran out,
    however old or young it is, and never one that lives. A session's id becomes the id of its file.
    """

    __tablename__ = "upload_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    upload_token_id: Mapped[UUID | None]
    """The upload token it came with."""
    reserved_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of its owner's quota, until its file is stored or the row goes, whoever deletes it."""
    reserved_files: Mapped[int] = mapped_column(default=0)
    protocol: Mapped[str] = mapped_column(String(16))
    storage_upload_id: Mapped[str | None] = mapped_column(String(1024))
    lease_until_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
