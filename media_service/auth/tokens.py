"""Tokens of logins: access tokens (JWT, RFC 9068) and refresh tokens (opaque). Core room."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from media_service.auth.shapes import REFRESH_PREFIX
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import new_id

ALGORITHM = "HS256"
AUDIENCE = "media-service"
TYPE = "at+jwt"
"""RFC 9068 §2.1: no other JWT, made with the same key for another purpose, may pass for an access token."""
REQUIRED_CLAIMS = ("iss", "aud", "sub", "sid", "exp", "iat", "jti", "scope")
REFRESH_BYTES = 32


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says once its signature is found good."""

    user_id: UUID
    session_id: UUID
    scopes: frozenset[str]


def key_id_of(token: str) -> str:
    """The id of the key that signed a token, or so it says. Raises MediaServiceError (unauthenticated)."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError) as error:  # JSON of a stranger may be nested to any depth
        raise bad_token() from error
    if header.get("typ") != TYPE or not isinstance(header.get("kid"), str):
        raise bad_token()
    return str(header["kid"])


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Makes and reads the access tokens of one service, which is their `issuer`."""

    issuer: str
    lifetime: timedelta

    def issue(self, token: AccessToken, *, key: tuple[str, bytes], at: datetime) -> str:
        """The text of a token that is good for `lifetime` from `at`; `key` is its id and its secret."""
        kid, secret = key
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": str(token.user_id),
            "sid": str(token.session_id),
            "jti": str(new_id()),
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "scope": " ".join(sorted(token.scopes)),
        }
        return jwt.encode(claims, secret, algorithm=ALGORITHM, headers={"kid": kid, "typ": TYPE})

    def read(self, text: str, *, secret: bytes) -> AccessToken:
        """What a token says. Raises MediaServiceError (unauthenticated) for one that is not good."""
        claims = self._claims(text, secret)
        try:
            return AccessToken(
                UUID(claims["sub"]), UUID(claims["sid"]), frozenset(str(claims["scope"]).split())
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise bad_token() from error

    def _claims(self, text: str, secret: bytes) -> Mapping[str, str]:
        try:
            claims: Mapping[str, str] = jwt.decode(
                text,
                secret,
                algorithms=[ALGORITHM],  # never what the token itself says (RFC 8725 §3.1)
                audience=AUDIENCE,
                issuer=self.issuer,
                # A replica's clock may be ahead: a token from the future is no attack.
                options={"require": list(REQUIRED_CLAIMS), "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise bad_token() from error
        return claims


def new_refresh_token() -> str:
    """A new opaque token; `keys.digest_of` is what is stored of it."""
    return f"{REFRESH_PREFIX}{secrets.token_urlsafe(REFRESH_BYTES)}"


def bad_token() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "invalid-credentials",
        "The access token is not valid, its time is over, or its login was ended.",
    )
