"""Settings of accounts. Core room."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from media_service.auth.key_strength import weakness_of
from media_service.auth.shapes import is_access_token, is_upload_token
from media_service.durations import Duration


class AuthSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    admin_api_key: SecretStr | None = None
    """The first admin's key. Without it one is made at the first start and printed once."""
    allow_registration: Annotated[bool, Field(default=False)] = False
    """Whether strangers may make accounts."""
    default_quota_bytes: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """Of the originals of each user who registers, in bytes; admins change it for single users. None: where
    registration is open, strangers may fill the storage. Users who are there already keep what they have."""
    default_quota_files: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """The same, in files: rows and objects cost even when they are empty."""
    access_token_ttl: Annotated[Duration, Field(le=timedelta(days=1))] = timedelta(minutes=15)
    """Shorter means more refreshes; longer gives whoever got hold of a token more time, until the login is
    ended or the user disabled: those are seen at once."""
    refresh_token_ttl: Duration = timedelta(days=30)
    """How long a login lives without being used; each refresh begins it anew."""
    password_threads: Annotated[int, Field(ge=1, le=64)] = 2
    """Passwords hashed or checked at once per API process, each with 19 MiB and a core. More lets a storm of
    logins take more of the machine; fewer makes people wait for each other."""
    password_queue: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Logins and registrations that may wait for a thread; the next is answered with 503. Each takes some 40
    ms of it, so the last of them waits three seconds. More makes people give up while they wait; fewer sends
    away a crowd that could be served."""

    @field_validator("admin_api_key")
    @classmethod
    def _is_strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = value.get_secret_value()
        weakness = weakness_of(key)
        if weakness is not None:
            raise ValueError(weakness)
        if is_access_token(key):
            raise ValueError("must not look like an access token (eyJ, and two dots)")
        if is_upload_token(key):
            raise ValueError("must not look like an upload token (mut_)")
        return value
