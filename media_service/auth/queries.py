"""Every statement about users and keys, once. Core room: builds statements, runs none."""

from uuid import UUID

from sqlalchemy import Delete, Select, bindparam, delete, or_, select

from media_service.auth.models import ApiKey, KeyOrigin, Role, SigningKey, User

KEY_BY_DIGEST: Select[UUID, list[str], Role] = (
    select(ApiKey.owner_id, ApiKey.scopes, User.role)
    .join(User, User.id == ApiKey.owner_id)
    .where(
        ApiKey.key_sha256 == bindparam("key_sha256"),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > bindparam("at")),
    )
)
"""A usable key by the digest of the whole key: its owner, its scopes, its owner's role.

Asked by every request, so it is built once: building a statement costs more than running it.
"""


def any_key() -> Select[ApiKey]:
    return select(ApiKey).limit(1)


def first_admin() -> Select[User]:
    return select(User).where(User.role == Role.ADMIN).order_by(User.id).limit(1)


def delete_other_keys_of_origin(origin: KeyOrigin, *, keep_sha256: str) -> Delete:
    return (
        delete(ApiKey)
        .where(ApiKey.origin == origin, ApiKey.key_sha256 != keep_sha256)
        .execution_options(synchronize_session=False)
    )


def signing_keys() -> Select[SigningKey]:
    """All signing keys, the one that signs first."""
    return select(SigningKey).order_by(SigningKey.created_at.desc(), SigningKey.kid)
