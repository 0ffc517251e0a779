"""Who may use the service, and the keys that prove it. Core room."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from media_service.models import Base, new_id, utc_now, value_enum


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class KeyOrigin(StrEnum):
    """Where an API key came from."""

    SETTING = "setting"
    """MEDIA_ADMIN_API_KEY; ends when the setting names another one, or none."""
    GENERATED = "generated"
    """Made at the first start, or when no admin could come in any more, and printed once."""
    API = "api"


class User(Base):
    """An owner of files."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    role: Mapped[Role] = mapped_column(value_enum(Role))
    email: Mapped[str | None] = mapped_column(String(254), unique=True, index=True)
    """As `emails.normalised_email` gives it. The first admin has none, and so no login, until one is set."""
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """Argon2id, with its parameters. Null: nobody can log in by password."""
    disabled_at: Mapped[datetime | None]
    """Since when all credentials of this user are refused."""
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_files: Mapped[int | None] = mapped_column(BigInteger)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """Of all originals. Changed by the transactions that make and delete files, as `stored_files` is."""
    stored_files: Mapped[int] = mapped_column(BigInteger, default=0)
    files_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    """Raised by every transaction that changes anything a description of this owner's files shows."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


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
    last_used_at: Mapped[datetime | None]
    """To a minute or so: written in the background (`key_usage.py`)."""


class UploadToken(Base):
    """A credential that a browser may hold: good for some uploads, and for nothing else.

    Stored as API keys are, by the SHA-256 of the whole token.
    """

    __tablename__ = "upload_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    max_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of one file; null: as much as the service takes."""
    content_types: Mapped[list[str]]
    """Patterns such as image/png or image/*; empty: whatever the service takes."""
    max_files: Mapped[int]
    used_files: Mapped[int] = mapped_column(default=0)
    """Raised by the transactions that make files, never beyond `max_files`."""
    visibility: Mapped[str | None] = mapped_column(String(16))
    """Of the files it makes, whatever the upload asks for; null: as the upload says."""
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class KeptSecret(Base):
    """A secret that signs, kept as it is; of each table the newest signs, all of them verify."""

    __abstract__ = True

    kid: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class SigningKey(KeptSecret):
    """A secret for the service's own signed URLs."""

    __tablename__ = "signing_keys"


class TokenKey(KeptSecret):
    """A secret for access tokens."""

    __tablename__ = "token_keys"


class LoginSession(Base):
    """One login by password, and the family of all tokens that come of it.

    Revoked here and not token by token: a token that a refresh makes at this very moment is revoked too.
    """

    __tablename__ = "login_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    """When its last refresh token ends."""
    revoked_at: Mapped[datetime | None]


class RefreshToken(Base):
    """Good for one refresh. Kept until it expires, to be known again when it is reused."""

    __tablename__ = "refresh_tokens"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_sessions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    """When it was exchanged for the next one."""
