"""What an upload token binds an upload to: size, types, visibility and number of files. Core room.

For every protocol alike. `narrowed` gives the policy that the bytes are held to, and the transaction that
makes the files uses the token up (`use_grant`): of any number of uploads at once, no more than `max_files`
files come to be.

An upload of several requests (tus, direct) sets `upload_sessions.upload_token_id`, and its row counts as one
used file for as long as it lives. The transaction that inserts the row calls `use_grant(..., files=0)` after
it; the one that makes the file deletes the row first, as the finalizer does for sessions of its own. The
number of files is asked when such an upload begins and not again: `max_files` may be 0 by then. Its later
requests are let in by `upload_token_id`, since a caller with a token sees nothing (`Caller.may_see`).
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller, UploadGrant, bad_upload_token
from media_service.files.lifecycle import Visibility
from media_service.upload_tokens.queries import USE_TOKEN
from media_service.uploads.policy import UploadPolicy, token_exhausted
from media_service.uploads.queries import count_sessions_of_token

ANY_TYPE = "*/*"


def narrowed(policy: UploadPolicy, grant: UploadGrant | None) -> UploadPolicy:
    """The policy of an upload by this grant; without one the policy as it is."""
    if grant is None:
        return policy
    limit_bytes = policy.max_file_size_bytes
    return replace(
        policy,
        max_file_size_bytes=min(limit_bytes, grant.max_size_bytes or limit_bytes),
        allowed_types=common_types(policy.allowed_types, grant.content_types or (ANY_TYPE,)),
        max_files=max(0, grant.remaining_files),
    )


def granted_visibility(wanted: Visibility, grant: UploadGrant | None) -> Visibility:
    """The visibility of a file whose upload asks for `wanted`."""
    return wanted if grant is None or grant.visibility is None else grant.visibility


def use_grant(session: Session, caller: Caller, *, files: int) -> None:
    """Count files against the caller's upload token, if it is one, inside the transaction that makes them.

    Raises MediaServiceError, and then nothing may be committed: unauthenticated if the token was revoked
    meanwhile, forbidden if others have used it up.
    """
    grant = caller.upload_token
    if grant is None:
        return
    left = session.scalars(USE_TOKEN, {"token_id": grant.id, "files": files}).first()
    if left is None:
        raise bad_upload_token()
    # Asked in a second statement: only one that begins under the row's lock sees what the holder of the
    # lock before us has inserted (PostgreSQL, READ COMMITTED).
    live = session.scalars(count_sessions_of_token(caller.owner_id, grant.id)).one()
    if left < live:
        raise token_exhausted(max(0, left - live + files))


def common_types(allowed: Sequence[str], granted: Sequence[str]) -> tuple[str, ...]:
    """The patterns of the types that both lists take."""
    common = (
        narrower
        for one in allowed
        for other in granted
        for narrower in (one if _covers(other, one) else other if _covers(one, other) else None,)
        if narrower is not None
    )
    return tuple(dict.fromkeys(common))


def _covers(pattern: str, other: str) -> bool:
    """Whether a pattern takes all types that another one takes."""
    family, _, kind = pattern.partition("/")
    return pattern in {ANY_TYPE, other} or (kind == "*" and other.startswith(f"{family}/"))
