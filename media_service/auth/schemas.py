"""Credentials as clients see them. API room."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from media_service.auth.emails import normalised_email
from media_service.auth.keys import NewKey
from media_service.auth.logins import IssuedTokens
from media_service.auth.models import ApiKey
from media_service.auth.scopes import Scope

MIN_PASSWORD_CHARACTERS = 12
"""Longer than what NIST SP 800-63B asks for at the least (8), and no rules about the sort of characters."""
MAX_PASSWORD_CHARACTERS = 256
"""Nobody types more; a sentence fits."""
MAX_KEY_DAYS = 3650


DESCRIBED_ADDRESS: dict[str, Any] = {
    "pattern": "^[!-?A-~]{1,64}@[!-?A-~]{1,189}$",
}
"""For readers of the document; `normalised_email` decides, and takes all scripts and spaces around it."""


def _address(text: str) -> str:
    address = normalised_email(text)
    if address is None:
        raise ValueError("is no e-mail address")
    return address


def _encodable(password: SecretStr) -> SecretStr:
    try:
        password.get_secret_value().encode()
    except UnicodeEncodeError:
        # Without "from": the error of Python's own repeats the text.
        raise ValueError("has half of a surrogate pair, which is no character") from None
    return password


Email = Annotated[
    str,
    Field(min_length=3, max_length=320, json_schema_extra=DESCRIBED_ADDRESS),
    AfterValidator(_address),
]
NewPassword = Annotated[
    SecretStr,
    Field(min_length=MIN_PASSWORD_CHARACTERS, max_length=MAX_PASSWORD_CHARACTERS),
    AfterValidator(_encodable),
]
KnownPassword = Annotated[SecretStr, Field(max_length=MAX_PASSWORD_CHARACTERS), AfterValidator(_encodable)]
KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]


class RegistrationRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email
    password: NewPassword


class Registered(BaseModel):
    """The same for every address: whether it had an account before is not told."""

    email: str


class TokenForm(BaseModel):
    """The password grant of OAuth 2.0 (RFC 6749 §4.3.2); fields that are not known are ignored (§3.2)."""

    grant_type: Literal["password"] = "password"
    username: Annotated[str, Field(max_length=320, description="The e-mail address.")]
    password: KnownPassword
    scope: Annotated[
        str, Field(max_length=500, description="Scopes, separated by spaces; all of the user's if empty.")
    ] = ""
    client_id: Annotated[str | None, Field(max_length=200, description="Not used.")] = None
    client_secret: Annotated[str | None, Field(max_length=200, description="Not used.")] = None


class RefreshRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")]


class Tokens(BaseModel):
    """RFC 6749 §5.1. The refresh token is good for one refresh."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of the type
    expires_in: Annotated[int, Field(description="Seconds, of the access token.")]
    scope: str

    @classmethod
    def from_issued(cls, issued: IssuedTokens) -> "Tokens":
        return cls(
            access_token=issued.access_token,
            refresh_token=issued.refresh_token,
            expires_in=int(issued.expires_in.total_seconds()),
            scope=" ".join(sorted(issued.scopes)),
        )


class ApiKeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: KeyName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]
    expires_in: Annotated[
        int | None, Field(ge=1, le=MAX_KEY_DAYS * 86400, description="Seconds; null: until it is deleted.")
    ] = None

    @property
    def lifetime(self) -> timedelta | None:
        return timedelta(seconds=self.expires_in) if self.expires_in is not None else None


class ApiKeyOut(BaseModel):
    """A key without its secret."""

    id: UUID
    name: str
    prefix: Annotated[str, Field(description="What the key begins with, after `msk_`.")]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="To a minute or so.")]

    @classmethod
    def from_row(cls, key: ApiKey) -> "ApiKeyOut":
        return cls(**_shown(key))


class NewApiKeyOut(ApiKeyOut):
    """A key with its secret, which is shown only this once."""

    key: str

    @classmethod
    def from_new(cls, made: NewKey) -> "NewApiKeyOut":
        return cls(**_shown(made.row), key=made.text)


class ApiKeyPage(BaseModel):
    """One page of a list of API keys."""

    items: list[ApiKeyOut]
    next_cursor: str | None


def _shown(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ApiKeyOut.model_fields}
