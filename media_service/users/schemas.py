"""Users as clients see them. API room."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from media_service.auth.models import Role, User
from media_service.auth.schemas import Email, KnownPassword, NewPassword
from media_service.auth.scopes import Caller
from media_service.users.profile import Usage
from media_service.web.absent_fields import check_never_null, describe_never_null


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic's way
    return value


Quota = Annotated[int, Field(ge=0, le=2**53 - 1), BeforeValidator(_no_bool)]
"""Null means no quota. Larger numbers lose digits in many JSON parsers (RFC 8259 §6); this is 9 PB."""


class UserOut(BaseModel):
    """A user, as admins see one."""

    id: UUID
    email: str | None
    role: Role
    disabled: bool
    quota_bytes: int | None
    quota_files: int | None
    stored_bytes: int
    stored_files: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_user(cls, user: User) -> "UserOut":
        return cls(
            id=user.id,
            email=user.email,
            role=user.role,
            disabled=user.disabled_at is not None,
            quota_bytes=user.quota_bytes,
            quota_files=user.quota_files,
            stored_bytes=user.stored_bytes,
            stored_files=user.stored_files,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class UserPageOut(BaseModel):
    """One page of a list of users."""

    items: list[UserOut]
    next_cursor: str | None


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email
    password: NewPassword
    role: Role = Role.USER
    quota_bytes: Quota | None = None
    quota_files: Quota | None = None


NEVER_NULL = ("role", "disabled", "password")


class UserChange(BaseModel):
    """Any of what an admin can change of a user; a quota of null is none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=describe_never_null(*NEVER_NULL))

    role: Role | None = None
    quota_bytes: Quota | None = None
    quota_files: Quota | None = None
    disabled: StrictBool | None = None
    password: Annotated[NewPassword | None, Field(description="For who forgot it; ends all logins.")] = None

    @model_validator(mode="after")
    def _no_nulls(self) -> Self:
        check_never_null(self, NEVER_NULL)
        return self


class Me(BaseModel):
    """The caller's own user, and what the credential at hand may do."""

    id: UUID
    email: str | None
    role: Role
    scopes: list[str]
    quota_bytes: int | None
    quota_files: int | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_user(cls, user: User, caller: Caller) -> "Me":
        return cls(
            id=user.id,
            email=user.email,
            role=user.role,
            scopes=sorted(caller.scopes),
            quota_bytes=user.quota_bytes,
            quota_files=user.quota_files,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class UsageOut(BaseModel):
    """What the caller stores: originals alone, whatever is made of them. A quota of null is none.

    What is reserved belongs to uploads on their way, and is free again when they end. Only the large ones of
    owners with a quota reserve; the others are measured against the quota when they end.
    """

    stored_bytes: int
    stored_files: int
    reserved_bytes: int
    reserved_files: int
    quota_bytes: int | None
    quota_files: int | None

    @classmethod
    def from_usage(cls, usage: Usage) -> "UsageOut":
        return cls(
            stored_bytes=usage.user.stored_bytes,
            stored_files=usage.user.stored_files,
            reserved_bytes=usage.reserved_bytes,
            reserved_files=usage.reserved_files,
            quota_bytes=usage.user.quota_bytes,
            quota_files=usage.user.quota_files,
        )


class MeChange(BaseModel):
    """A new e-mail address, a new password, or both; the password until now proves who asks."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = None
    password: NewPassword | None = None
    current_password: KnownPassword | None = None
