"""Uploads that are on their way. Core room."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, utc_now


class UploadSession(Base):
    """The claim on the bytes of an upload until a file row owns them.

    One request's upload that outgrew its first part: the process that receives it renews `lease_until_ms`,
    and the session's id becomes the id of its file. A resumable upload: the session lives from its creation
    to `lease_until_ms`, which every request moves on, and remembers the file that came of it. The sweeper
    takes a session whose lease ran out, however old or young it is, and never one that lives.
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

    # What follows is said of resumable uploads alone.
    offset_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Bytes that are durable and confirmed: those of all parts, then those of the tail. Never shrinks."""
    length_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of the whole; None until the client says it."""
    part_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    tail_key: Mapped[str | None] = mapped_column(String(200))
    """The object that holds what follows the last whole part."""
    content_type: Mapped[str | None] = mapped_column(String(127))
    """Sniffed, as soon as the first bytes are there."""
    announced: Mapped[dict[str, Any] | None]
    """Name, visibility, tags and custom of the file to come, checked."""
    metadata_header: Mapped[str | None] = mapped_column(String(32768))
    """`Upload-Metadata` as it was received (tus 1.0, HEAD)."""
    concat_header: Mapped[str | None] = mapped_column(String(32768))
    """`Upload-Concat` as it was received."""
    file_id: Mapped[UUID | None] = mapped_column(index=True)
    """The file to come, and so the key that its bytes go to. Another one after each torn lock: whoever held
    it may wake up and go on to write to the old key."""
    is_sealed: Mapped[bool] = mapped_column(default=False, server_default=false())
    """All bytes are in parts, which may be made one object now or have been."""
    is_finished: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The file is there (or, of a partial upload, the object)."""

    fence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Counts who held the lock; each change of what stands above is made under the number of its holder."""
    holder: Mapped[UUID | None] = mapped_column(index=True)
    """Who holds the lock: one request."""
    lock_until_ms: Mapped[int | None] = mapped_column(BigInteger)
    stop_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Somebody waits for the lock."""
    is_torn: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A holder went away without a word, and may still write."""

    @property
    def is_partial(self) -> bool:
        """Whether it is only a piece of a file to come (tus 1.0, concatenation)."""
        return self.concat_header == "partial"


class UploadPart(Base):
    """A confirmed part of a resumable upload."""

    __tablename__ = "upload_parts"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("upload_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str] = mapped_column(String(255))
