"""Finds out who is calling. API room."""

from media_service.auth import queries
from media_service.auth.issued_keys import IssuedKeys
from media_service.auth.key_usage import KeyUsage
from media_service.auth.keyring import Keyring
from media_service.auth.keys import digest_of
from media_service.auth.scopes import Account, Caller, UploadGrant, allowed_scopes, bad_upload_token
from media_service.auth.shapes import is_access_token, is_upload_token
from media_service.auth.tokens import AccessToken, AccessTokens, bad_token, key_id_of
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import Visibility
from media_service.models import utc_now


class Identity:
    """Credentials in, callers out. One statement each, which also asks whether the user is disabled."""

    def __init__(
        self, database: Database, *, tokens: AccessTokens, keyring: Keyring, usage: KeyUsage
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._keyring = keyring
        self._usage = usage
        self._issued = IssuedKeys(database)

    async def identify(self, credential: str) -> Caller:
        """The caller behind an API key, an access token or an upload token.

        Raises MediaServiceError (unauthenticated).
        """
        if is_upload_token(credential):
            return await self._by_upload_token(credential)
        if is_access_token(credential):
            return await self._by_token(credential)
        return await self._by_key(credential)

    async def origin_of(self, credential: str) -> str | None:
        """What a credential came of that this service made once: a login, or the key itself. None: made up.

        It may have ended since. Costs the database nothing for an access token, and for keys little, however
        many ask. Raises MediaServiceError (unauthenticated) for a token that is forged or whose time is over.
        """
        if is_access_token(credential):
            return (await self._read(credential)).session_id.hex
        digest = digest_of(credential)
        return digest if await self._issued.has(digest) else None

    async def _by_key(self, key: str) -> Caller:
        parameters = {"key_sha256": digest_of(key), "at": utc_now()}
        found = await self._database.run_read(
            lambda session: session.execute(queries.KEY_BY_DIGEST, parameters).first()
        )
        if found is None:
            raise MediaServiceError(
                ErrorKind.UNAUTHENTICATED,
                "invalid-credentials",
                "The API key is unknown, expired or revoked.",
            )
        key_id, owner_id, scopes, expires_at, role, quota_bytes, quota_files, *stored = found
        self._usage.note(key_id)
        return Caller(
            owner_id,
            allowed_scopes(scopes, role),
            key_id,
            Account(quota_bytes, quota_files, *stored),
            expires_at=expires_at,
        )

    async def _by_token(self, text: str) -> Caller:
        token = await self._read(text)
        parameters = {"session_id": token.session_id, "user_id": token.user_id}
        found = await self._database.run_read(
            lambda session: session.execute(queries.USER_BY_SESSION, parameters).first()
        )
        if found is None:
            raise bad_token()
        role, quota_bytes, quota_files, *stored = found
        return Caller(
            token.user_id,
            allowed_scopes(token.scopes, role),
            token.session_id,
            Account(quota_bytes, quota_files, *stored),
            session_id=token.session_id,
        )

    async def _read(self, text: str) -> AccessToken:
        secret = await self._keyring.secret_of(key_id_of(text))
        if secret is None:
            raise bad_token()
        return self._tokens.read(text, secret=secret)

    async def _by_upload_token(self, text: str) -> Caller:
        parameters = {"token_sha256": digest_of(text), "at": utc_now()}
        found = await self._database.run_read(
            lambda session: session.execute(queries.UPLOAD_TOKEN_BY_DIGEST, parameters).first()
        )
        if found is None:
            raise bad_upload_token()
        token_id, owner_id, max_size_bytes, content_types, remaining_files, visibility, *_ = found
        quota_bytes, quota_files, *stored = found[6:]
        grant = UploadGrant(
            token_id,
            max_size_bytes,
            tuple(content_types),
            remaining_files,
            Visibility(visibility) if visibility is not None else None,
        )
        return Caller(
            owner_id,
            frozenset(),
            token_id,
            Account(quota_bytes, quota_files, *stored),
            upload_token=grant,
        )
