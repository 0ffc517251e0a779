"""How API keys and upload tokens look and are kept. Core room."""

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from media_service.auth.models import ApiKey, KeyOrigin
from media_service.auth.shapes import UPLOAD_TOKEN_PREFIX

PREFIX_BYTES = 4
SECRET_BYTES = 24
"""192 random bits: not to be guessed, so a fast hash suffices at rest."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which its text is known."""

    text: str
    row: ApiKey


def generate_key(*, owner_id: UUID, name: str, scopes: list[str], origin: KeyOrigin) -> NewKey:
    """A new key `msk_<prefix>_<secret>` and the row that will know it again."""
    text = f"msk_{secrets.token_hex(PREFIX_BYTES)}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(text, key_row(text, owner_id=owner_id, name=name, scopes=scopes, origin=origin))


def key_row(text: str, *, owner_id: UUID, name: str, scopes: list[str], origin: KeyOrigin) -> ApiKey:
    """The row for a key whose text is given."""
    return ApiKey(
        owner_id=owner_id,
        name=name,
        prefix=shown_prefix(text),
        key_sha256=digest_of(text),
        scopes=scopes,
        origin=origin,
    )


def new_upload_token(token_id: UUID) -> str:
    """The text of a new upload token: `mut_<prefix>_<secret>`."""
    prefix = upload_token_prefix(token_id)
    return f"{UPLOAD_TOKEN_PREFIX}{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"


def upload_token_prefix(token_id: UUID) -> str:
    """The part of an upload token that may be shown, to tell tokens apart: the random end of its id."""
    return token_id.hex[-2 * PREFIX_BYTES :]


def digest_of(text: str) -> str:
    """What is stored and looked up in place of a key."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown_prefix(text: str) -> str:
    """The part of a key that may be shown, to tell keys apart."""
    parts = text.split("_")
    return parts[1][:32] if len(parts) >= 3 and parts[0] == "msk" else text[:4]
