"""Upload tokens that users make for the browsers of others. API room."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from media_service.auth.keys import digest_of, new_upload_token
from media_service.auth.lost_owner import needing_owner
from media_service.auth.models import UploadToken
from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import Visibility
from media_service.models import new_id, utc_now
from media_service.pagination import Cursor, cut_page, decode_cursor
from media_service.upload_tokens import queries
from media_service.uploads.grants import common_types
from media_service.uploads.policy import UploadPolicy

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a token is to be good for."""

    max_size_bytes: int | None
    content_types: Sequence[str]
    max_files: int
    visibility: Visibility | None
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token at the only moment at which its text is known."""

    text: str
    row: UploadToken


@dataclass(frozen=True, slots=True)
class TokenPage:
    tokens: list[UploadToken]
    next_cursor: str | None


class UploadTokens:
    """Each method is one short transaction. "Not yours" and "not there" are one answer."""

    def __init__(self, database: Database, *, policy: UploadPolicy) -> None:
        self._database = database
        self._policy = policy

    async def create(self, caller: Caller, terms: Terms) -> NewToken:
        """A token for uploads that will be the caller's, with its text, which is not to be had again.

        Raises MediaServiceError: unprocessable for terms that the service itself would not take;
        unauthenticated if the caller's user was deleted meanwhile.
        """
        self._check(terms)
        made = _new_token(caller.owner_id, terms)
        with needing_owner():
            async with self._database.transaction() as session:
                session.add(made.row)
        log.info(
            "upload_token.created",
            upload_token_id=str(made.row.id),
            owner_id=str(caller.owner_id),
            credential_id=str(caller.credential_id),
            max_files=terms.max_files,
        )
        return made

    async def list_page(self, caller: Caller, *, cursor: str | None, limit: int) -> TokenPage:
        """A page of the caller's own tokens, newest first. Raises MediaServiceError (bad cursor)."""
        after = decode_cursor(cursor)
        statement = queries.list_tokens(
            caller.owner_id, after=after.last_id if after is not None else None, limit=limit + 1
        )
        async with self._database.read() as session:
            tokens = list(await session.scalars(statement))
        return TokenPage(*cut_page(tokens, limit, lambda token: Cursor(token.id)))

    async def revoke(self, token_id: UUID, caller: Caller) -> None:
        """End a token at once, uploads that are on their way included; an admin may end anybody's.

        Raises MediaServiceError (not found).
        """
        async with self._database.transaction() as session:
            token = (await session.scalars(queries.token_for_change(token_id))).one_or_none()
            if token is None or not caller.may_see(token.owner_id):
                raise MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such upload token.")
            token.revoked_at = utc_now()
        log.info("upload_token.revoked", upload_token_id=str(token_id))

    def _check(self, terms: Terms) -> None:
        limit_bytes = self._policy.max_file_size_bytes
        if terms.max_size_bytes is not None and terms.max_size_bytes > limit_bytes:
            raise _invalid("max_size", f"The service takes files of at most {limit_bytes} bytes.")
        if not common_types(self._policy.allowed_types, terms.content_types):
            allowed = ", ".join(self._policy.allowed_types)
            raise _invalid("content_types", f"The service takes none of these; it takes {allowed}.")


def _new_token(owner_id: UUID, terms: Terms) -> NewToken:
    token_id, now = new_id(), utc_now()
    text = new_upload_token(token_id)
    row = UploadToken(
        id=token_id,
        owner_id=owner_id,
        token_sha256=digest_of(text),
        max_size_bytes=terms.max_size_bytes,
        content_types=list(terms.content_types),
        max_files=terms.max_files,
        used_files=0,
        visibility=terms.visibility,
        created_at=now,
        expires_at=now + terms.lifetime,
    )
    return NewToken(text, row)


def _invalid(field: str, detail: str) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNPROCESSABLE,
        "invalid-request",
        "Some values of the request are missing or wrong; see 'errors'.",
        errors=[{"pointer": f"/body/{field}", "detail": detail}],
    )
