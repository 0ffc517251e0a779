"""Logins by password, and the tokens that come of them. API room."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from media_service.auth import queries
from media_service.auth.emails import normalised_email
from media_service.auth.keyring import Keyring
from media_service.auth.keys import digest_of
from media_service.auth.models import LoginSession, RefreshToken, Role, User
from media_service.auth.passwords import Passwords
from media_service.auth.scopes import Caller, allowed_scopes, narrowed_scopes
from media_service.auth.tokens import AccessToken, AccessTokens, new_refresh_token
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import new_id, utc_now

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a login or a refresh gives, at the only moment at which the refresh token is known."""

    access_token: str
    refresh_token: str
    expires_in: timedelta
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Refreshed:
    """A login that got its next refresh token."""

    token: AccessToken
    refresh_token: str


class Logins:
    """Login, refresh, logout. Attempts are counted by who calls this, or by nobody."""

    def __init__(
        self,
        database: Database,
        *,
        passwords: Passwords,
        tokens: AccessTokens,
        keyring: Keyring,
        refresh_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._keyring = keyring
        self._refresh_lifetime = refresh_lifetime

    async def login(self, email: str, password: str, *, scope: str) -> IssuedTokens:
        """Begin a login, with the scopes asked for or all that the user has.

        Raises MediaServiceError: unauthenticated, with one answer after the same work for an unknown address,
        a wrong password and a disabled user; invalid for a scope that the user does not have.
        """
        user = await self._user_of(email)
        known_hash = user.password_hash if user is not None else None
        is_right, newer_hash = await self._passwords.verify(password, known_hash)
        if user is None or known_hash is None or not is_right or user.disabled_at is not None:
            raise _wrong_password()
        async with self._database.transaction() as session:
            # Once more, since hashing takes its time: a password that was changed meanwhile opens nothing.
            statement = queries.user_who_may_log_in(user.id, password_hash=known_hash)
            current = (await session.scalars(statement)).one_or_none()
            if current is None:
                raise _wrong_password()
            scopes = narrowed_scopes(scope, current.role)
            if newer_hash is not None:
                current.password_hash = newer_hash
            begun = await self._begin(session, current.id, scopes)
        log.info("login.begun", user_id=str(user.id), session_id=str(begun.token.session_id))
        return await self._issued(begun)

    async def refresh(self, refresh_token: str) -> IssuedTokens:
        """Exchange a refresh token for new tokens; it is used up by that.

        Whoever brings one a second time, be it a thief or its owner after a thief, ends the whole login.
        There is no grace for a twin that was on its way: to tell it from a thief, nothing is at hand. Raises
        MediaServiceError (unauthenticated).
        """
        digest, now = digest_of(refresh_token), utc_now()
        async with self._database.transaction() as session:
            login = (await session.execute(queries.live_login_of_token(digest))).first()
            used_up = (await session.execute(queries.rotate_refresh_token(digest, at=now))).first()
            refreshed = None
            if used_up is None:
                # Nothing is raised in here: the revocation must be committed.
                await self._revoke_if_reused(session, digest, at=now)
            elif login is not None:
                refreshed = await self._go_on(session, *login, at=now)
        if refreshed is None:
            raise MediaServiceError(
                ErrorKind.UNAUTHENTICATED,
                "invalid-refresh-token",
                "The refresh token is unknown, used, or over, or its login was ended; log in again.",
            )
        return await self._issued(refreshed)

    async def logout(self, caller: Caller) -> None:
        """End the login that the caller's access token came of: its tokens stop at once.

        Raises MediaServiceError (forbidden) for an API key, which came of none.
        """
        if caller.session_id is None:
            raise MediaServiceError(
                ErrorKind.FORBIDDEN, "not-a-login", "An API key has no login to end; delete the key instead."
            )
        async with self._database.transaction() as session:
            await session.execute(queries.revoke_session(caller.session_id, at=utc_now()))
        log.info("login.ended", user_id=str(caller.owner_id), session_id=str(caller.session_id))

    async def _user_of(self, email: str) -> User | None:
        address = normalised_email(email)
        if address is None:
            return None
        return await self._database.run_read(
            lambda session: session.scalars(queries.user_by_email(address)).one_or_none()
        )

    async def _begin(self, session: AsyncSession, user_id: UUID, scopes: Iterable[str]) -> _Refreshed:
        now = utc_now()
        await session.execute(queries.delete_past_sessions(user_id, at=now))
        login = LoginSession(
            id=new_id(),
            user_id=user_id,
            scopes=sorted(scopes),
            expires_at=now + self._refresh_lifetime,
        )
        session.add(login)
        await session.flush()
        return _Refreshed(
            AccessToken(user_id, login.id, frozenset(scopes)), self._add_token(session, login, at=now)
        )

    async def _go_on(
        self, session: AsyncSession, login: LoginSession, role: Role, *, at: datetime
    ) -> _Refreshed:
        """The next tokens of a login."""
        await session.execute(queries.delete_past_refresh_tokens(login.id, at=at))
        login.expires_at = at + self._refresh_lifetime
        scopes = allowed_scopes(login.scopes, role)
        return _Refreshed(
            AccessToken(login.user_id, login.id, scopes), self._add_token(session, login, at=at)
        )

    async def _revoke_if_reused(self, session: AsyncSession, digest: str, *, at: datetime) -> None:
        reused = (await session.scalars(queries.session_of_reused_token(digest))).one_or_none()
        if reused is not None:
            await session.execute(queries.revoke_session(reused, at=at))
            log.warning("login.refresh_token_reused", session_id=str(reused))

    def _add_token(self, session: AsyncSession, login: LoginSession, *, at: datetime) -> str:
        text = new_refresh_token()
        session.add(
            RefreshToken(
                token_sha256=digest_of(text), session_id=login.id, expires_at=at + self._refresh_lifetime
            )
        )
        return text

    async def _issued(self, refreshed: _Refreshed) -> IssuedTokens:
        key = await self._keyring.signing_key()
        return IssuedTokens(
            access_token=self._tokens.issue(refreshed.token, key=key, at=utc_now()),
            refresh_token=refreshed.refresh_token,
            expires_in=self._tokens.lifetime,
            scopes=refreshed.token.scopes,
        )


def _wrong_password() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED, "invalid-credentials", "The e-mail address or the password is wrong."
    )
