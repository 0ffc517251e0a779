"""Settings of accounts. Core room."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from media_service.auth.key_strength import weakness_of


class AuthSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    admin_api_key: SecretStr | None = None
    """The first admin's key. Without it one is made at the first start and printed once."""
    allow_registration: Annotated[bool, Field(default=False)] = False
    """Whether strangers may make accounts."""

    @field_validator("admin_api_key")
    @classmethod
    def _is_strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        weakness = weakness_of(value.get_secret_value())
        if weakness is not None:
            raise ValueError(weakness)
        return value

    @field_validator("allow_registration")
    @classmethod
    def _is_available(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's signature
        if value:
            raise ValueError("registration is not available in this version; use API keys")
        return value
