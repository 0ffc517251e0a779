"""Every statement about users, keys and logins, once. Core room: builds statements, runs none."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Delete, Select, Update, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from media_service.auth.models import (
    ApiKey,
    KeptSecret,
    KeyOrigin,
    LoginSession,
    RefreshToken,
    Role,
    UploadToken,
    User,
)

_SILENT = {"synchronize_session": False}

_ACCOUNT = (
    User.quota_bytes,
    User.quota_files,
    User.stored_bytes,
    User.stored_files,
    User.files_revision,
)
"""The fields of `scopes.Account`, in their order."""

KEY_BY_DIGEST: Select[UUID, UUID, list[str], Role, int | None, int | None, int, int, int] = (
    select(ApiKey.id, ApiKey.owner_id, ApiKey.scopes, User.role, *_ACCOUNT)
    .join(User, User.id == ApiKey.owner_id)
    .where(
        ApiKey.key_sha256 == bindparam("key_sha256"),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > bindparam("at")),
        User.disabled_at.is_(None),
    )
)
"""A usable key by the digest of the whole key: its id, its owner, its scopes, its owner's role and account.

Asked by every request, so it is built once: building a statement costs more than running it.
"""

USER_BY_SESSION: Select[Role, int | None, int | None, int, int, int] = (
    select(User.role, *_ACCOUNT)
    .join(LoginSession, LoginSession.user_id == User.id)
    .where(
        LoginSession.id == bindparam("session_id"),
        User.id == bindparam("user_id"),
        LoginSession.revoked_at.is_(None),
        User.disabled_at.is_(None),
    )
)
"""The role and account of a user who may use a login that was not ended; asked for every access token."""


UPLOAD_TOKEN_BY_DIGEST: Select[
    UUID, UUID, int | None, list[str], int, str | None, int | None, int | None, int, int, int
] = (
    select(
        UploadToken.id,
        UploadToken.owner_id,
        UploadToken.max_size_bytes,
        UploadToken.content_types,
        UploadToken.max_files - UploadToken.used_files,
        UploadToken.visibility,
        *_ACCOUNT,
    )
    .join(User, User.id == UploadToken.owner_id)
    .where(
        UploadToken.token_sha256 == bindparam("token_sha256"),
        UploadToken.revoked_at.is_(None),
        UploadToken.expires_at > bindparam("at"),
        User.disabled_at.is_(None),
    )
)
"""A live upload token by the digest of the whole token: the fields of `scopes.UploadGrant`, its owner's id
after its own, and its owner's account. One that is used up is live: whoever asks is told so."""


def any_key() -> Select[ApiKey]:
    return select(ApiKey).limit(1)


def key_by_digest(key_sha256: str) -> Select[ApiKey]:
    """A key whether or not it may be used."""
    return select(ApiKey).where(ApiKey.key_sha256 == key_sha256)


def first_admin() -> Select[User]:
    """The oldest admin who is not disabled."""
    return other_admins(None).order_by(User.id).limit(1)


def enabled_user(user_id: UUID) -> Select[UUID]:
    """The id, if there is such a user who is not disabled."""
    return select(User.id).where(User.id == user_id, User.disabled_at.is_(None))


def other_admins(user_id: UUID | None) -> Select[User]:
    """Enabled admins other than this user."""
    statement = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    return statement if user_id is None else statement.where(User.id != user_id)


def delete_other_keys_of_origin(origin: KeyOrigin, *, keep_sha256: str) -> Delete:
    return (
        delete(ApiKey)
        .where(ApiKey.origin == origin, ApiKey.key_sha256 != keep_sha256)
        .execution_options(**_SILENT)
    )


def insert_user(dialect: str, values: dict[str, Any]) -> ReturningInsert[UUID]:
    """Insert a user; no row: the e-mail address has an account already. Of any number at once, one wins."""
    insert = postgresql_insert if dialect == "postgresql" else sqlite_insert
    return (
        insert(User).values(**values).on_conflict_do_nothing(index_elements=[User.email]).returning(User.id)
    )


def user_by_email(email: str) -> Select[User]:
    return select(User).where(User.email == email)


def user_by_id(user_id: UUID) -> Select[User]:
    return select(User).where(User.id == user_id)


def user_for_change(user_id: UUID) -> Select[User]:
    """A user, locked against all other changes, but not against rows that refer to it (FOR NO KEY UPDATE).

    Those must not wait: uploads insert such rows and change the user's own row last, so a deadlock would
    follow.
    """
    return user_by_id(user_id).with_for_update(key_share=True)


def list_users(*, after: UUID | None, limit: int) -> Select[User]:
    """One keyset page, newest first."""
    statement = select(User) if after is None else select(User).where(User.id < after)
    return statement.order_by(User.id.desc()).limit(limit)


def user_who_may_log_in(user_id: UUID, *, password_hash: str) -> Select[User]:
    """A user, locked, unless disabled or given another password since the hash was read."""
    return user_for_change(user_id).where(User.password_hash == password_hash, User.disabled_at.is_(None))


def delete_user(user_id: UUID) -> Delete:
    """Keys, logins, events and jobs of the user go with the row; files must have gone before it."""
    return delete(User).where(User.id == user_id).execution_options(**_SILENT)


def list_keys(owner_id: UUID, *, after: UUID | None, limit: int) -> Select[ApiKey]:
    """One keyset page of the keys that were not revoked, newest first."""
    statement = select(ApiKey).where(ApiKey.owner_id == owner_id, ApiKey.revoked_at.is_(None))
    if after is not None:
        statement = statement.where(ApiKey.id < after)
    return statement.order_by(ApiKey.id.desc()).limit(limit)


def key_for_change(key_id: UUID) -> Select[ApiKey]:
    """A key that was not revoked, locked."""
    return select(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).with_for_update()


SET_LAST_USE: Update = (
    update(ApiKey.metadata.tables[ApiKey.__tablename__])
    .where(ApiKey.id == bindparam("key_id"))
    .values(last_used_at=bindparam("used_at"))
)
"""Note the last use of keys; run with a list of `key_id` and `used_at`."""


def kept_secrets(table: type[KeptSecret]) -> Select[KeptSecret]:
    """All secrets of a table, the one that signs first."""
    return select(table).order_by(table.created_at.desc(), table.kid)


def delete_secrets(table: type[KeptSecret], kids: Sequence[str]) -> Delete:
    return delete(table).where(table.kid.in_(kids)).execution_options(**_SILENT)


def delete_past_sessions(user_id: UUID, *, at: datetime) -> Delete:
    """Forget the logins of a user that are over, their tokens included."""
    return (
        delete(LoginSession)
        .where(
            LoginSession.user_id == user_id,
            or_(LoginSession.expires_at < at, LoginSession.revoked_at.is_not(None)),
        )
        .execution_options(**_SILENT)
    )


def delete_past_refresh_tokens(session_id: UUID, *, at: datetime) -> Delete:
    """Forget tokens that could no longer be used, nor be reused, by their age alone."""
    return (
        delete(RefreshToken)
        .where(RefreshToken.session_id == session_id, RefreshToken.expires_at < at)
        .execution_options(**_SILENT)
    )


def rotate_refresh_token(token_sha256: str, *, at: datetime) -> ReturningUpdate[UUID]:
    """Use up a refresh token; returns its login. No row: it was used before, is over, or is unknown.

    A compare-and-set: of requests that bring one token at the same time, one gets the row.
    """
    return (
        update(RefreshToken)
        .where(
            RefreshToken.token_sha256 == token_sha256,
            RefreshToken.rotated_at.is_(None),
            RefreshToken.expires_at > at,
        )
        .values(rotated_at=at)
        .returning(RefreshToken.session_id)
        .execution_options(**_SILENT)
    )


def session_of_reused_token(token_sha256: str) -> Select[UUID]:
    """The login of a refresh token that was used before."""
    return select(RefreshToken.session_id).where(
        RefreshToken.token_sha256 == token_sha256, RefreshToken.rotated_at.is_not(None)
    )


def live_session(session_id: UUID) -> Select[LoginSession, Role]:
    """A login that was not ended, locked, and the role of its user, if not disabled."""
    return (
        select(LoginSession, User.role)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.id == session_id, LoginSession.revoked_at.is_(None), User.disabled_at.is_(None))
        .with_for_update(of=LoginSession)
    )


def revoke_session(session_id: UUID, *, at: datetime) -> Update:
    """End a login with all of its tokens, those included that are being made at this moment."""
    return (
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.revoked_at.is_(None))
        .values(revoked_at=at)
        .execution_options(**_SILENT)
    )


def revoke_sessions(user_id: UUID, *, at: datetime, but: Collection[UUID] = ()) -> Update:
    """End all logins of a user but these."""
    return (
        update(LoginSession)
        .where(
            LoginSession.user_id == user_id,
            LoginSession.revoked_at.is_(None),
            LoginSession.id.not_in(but),
        )
        .values(revoked_at=at)
        .execution_options(**_SILENT)
    )
