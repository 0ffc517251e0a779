"""Results of images on the fly: what is stored, what is being made, what could not be made. Core room."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, utc_now
from media_service.storage.keys import rendition_key


class Transform(Base):
    """One result of one file. Its row is the claim that lets one process make it, then the record of it.

    Not a rendition: descriptions do not show it, and it can be thrown away and made again.
    """

    __tablename__ = "transforms"

    file_id: Mapped[UUID] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(16), primary_key=True)
    """Of the options and the version of the pipeline."""
    options: Mapped[str] = mapped_column(String(255))
    """Canonical, in a concrete format: all that a worker needs to know."""
    busy_until_ms: Mapped[int] = mapped_column(BigInteger)
    """Until then nobody else asks for it or makes it: somebody does, or it could not be made."""
    token: Mapped[UUID | None]
    """Of the worker that makes it; null while only a message is on its way. Fences what it publishes."""
    error_kind: Mapped[str | None] = mapped_column(String(32))
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(String(500))
    content_type: Mapped[str | None] = mapped_column(String(127))
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    """Null until it is made."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    made_at: Mapped[datetime | None]

    @property
    def key(self) -> str | None:
        """Where its bytes are; None until it is made. Under its file's prefix, so it goes with the file."""
        if self.sha256 is None:
            return None
        return rendition_key(self.file_id, recipe=self.digest, sha256=self.sha256)
