"""Lets an upload token be told once more what its own upload has become. Core room.

A caller with a token sees no file, and the session that knew the token goes with the completion. But an
answer may get lost, and a completion that is sent again has the same one: for that a record is kept among the
keys of requests that may be repeated, for as long as those.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.dialects import later_ms
from media_service.idempotency.models import IdempotencyKey
from media_service.idempotency.queries import held_key
from media_service.models import new_id

PROTOCOL = "direct"


def keep_receipt(session: Session, caller: Caller, upload_id: UUID, *, retention: timedelta) -> None:
    """In the transaction that makes the file; of a caller with an upload token alone."""
    if caller.upload_token is not None:
        session.add(
            IdempotencyKey(
                owner_id=caller.owner_id,
                key=_key(caller.upload_token.id, upload_id),
                token=new_id(),
                fingerprint=PROTOCOL,
                made_ids=[str(upload_id)],
                until_ms=later_ms(retention),
            )
        )


def receipt(owner_id: UUID, *, token_id: UUID, upload_id: UUID) -> Select[IdempotencyKey]:
    return held_key(owner_id, _key(token_id, upload_id))


def _key(token_id: UUID, upload_id: UUID) -> str:
    """Has a space, so it is no key that a client could send."""
    return f"{token_id} {upload_id}"
