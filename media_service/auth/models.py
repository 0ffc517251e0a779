"""Who may use the service, and the keys that prove it. Core room."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, new_id, utc_now, value_enum


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class KeyOrigin(StrEnum):
    """Where an API key came from."""

    SETTING = "setting"
    """MEDIA_ADMIN_API_KEY; replaced when the setting changes."""
    GENERATED = "generated"
    """Made at the first start and printed once."""
    API = "api"


class User(Base):
    """An owner of files."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    role: Mapped[Role] = mapped_column(value_enum(Role))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ApiKey(Base):
    """A credential for programs. The secret is never stored: only the SHA-256 of the whole key.

    A fast hash is right here and wrong for passwords: a key has at least 128 random bits.
    """

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(32))
    key_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    origin: Mapped[KeyOrigin] = mapped_column(value_enum(KeyOrigin))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SigningKey(Base):
    """A secret for the service's own signed URLs; the newest signs, all of them verify."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
