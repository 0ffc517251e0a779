"""Keys under which a request may be sent again. Core room."""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base

MAX_KEY_CHARACTERS = 255


class IdempotencyKey(Base):
    """A claim while its request runs (no fingerprint yet), then the record of what the request made.

    `until_ms` is the end of the claim's lease or of the record's retention; whoever comes later may take
    the key over. `token` fences a holder that was only paused: its completion no longer finds the row.
    """

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY_CHARACTERS), primary_key=True)
    token: Mapped[UUID] = mapped_column(index=True)
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    made_ids: Mapped[list[str]]
    until_ms: Mapped[int] = mapped_column(BigInteger, index=True)
