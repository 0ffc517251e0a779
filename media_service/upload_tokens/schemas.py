"""Upload tokens as clients see them. API room."""

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from media_service.auth.keys import upload_token_prefix
from media_service.auth.models import UploadToken
from media_service.files.lifecycle import Visibility
from media_service.upload_tokens.service import NewToken, Terms
from media_service.uploads.config import MAX_OBJECT_BYTES

DEFAULT_LIFETIME = timedelta(hours=1)
"""Long enough to fill in a form and send a large file, short enough for what may be copied out of a page."""
MAX_LIFETIME = timedelta(days=7)
"""As long as S3's own links may live. What must work for longer belongs on a server, with a key."""
MAX_FILES = 10_000
"""More is no upload of a visitor, but a program, which can hold a key."""
MAX_PATTERNS = 50

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
"""RFC 6838 §4.2."""

ContentTypePattern = Annotated[
    str,
    Field(pattern=rf"^(\*/\*|{_NAME}/(\*|{_NAME}))$", description="Such as `image/png`, `image/*` or `*/*`."),
    AfterValidator(str.lower),
]


def _unique(patterns: list[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


class UploadTokenRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"max_size": 10_000_000, "content_types": ["image/*"], "max_files": 3, "expires_in": 900}
            ]
        },
    )

    max_size: Annotated[
        int | None,
        Field(
            ge=1, le=MAX_OBJECT_BYTES, description="Bytes of one file; null: as many as the service takes."
        ),
    ] = None
    content_types: Annotated[
        list[ContentTypePattern],
        Field(min_length=1, max_length=MAX_PATTERNS, description="What files may be, by their first bytes."),
        AfterValidator(_unique),
    ] = ["*/*"]
    max_files: Annotated[int, Field(ge=1, le=MAX_FILES, description="Of all its uploads together.")] = 1
    expires_in: Annotated[int, Field(ge=1, le=int(MAX_LIFETIME.total_seconds()), description="Seconds.")] = (
        int(DEFAULT_LIFETIME.total_seconds())
    )
    visibility: Annotated[
        Visibility | None,
        Field(description="Of its files, whatever an upload asks for; null: as the upload says."),
    ] = Visibility.PRIVATE
    """Not null: else whoever finds a token could publish what they like at the owner's address."""

    @property
    def terms(self) -> Terms:
        return Terms(
            max_size_bytes=self.max_size,
            content_types=self.content_types,
            max_files=self.max_files,
            visibility=self.visibility,
            lifetime=timedelta(seconds=self.expires_in),
        )


class UploadTokenOut(BaseModel):
    """An upload token without its secret."""

    id: UUID
    prefix: Annotated[str, Field(description="What the token begins with, after `mut_`.")]
    max_size: int | None
    content_types: list[str]
    max_files: int
    used_files: int
    visibility: Visibility | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def from_row(cls, token: UploadToken) -> "UploadTokenOut":
        return cls(**_shown(token))


class NewUploadTokenOut(UploadTokenOut):
    """An upload token with its secret, which is shown only this once."""

    token: str

    @classmethod
    def from_new(cls, made: NewToken) -> "NewUploadTokenOut":
        return cls(**_shown(made.row), token=made.text)


class UploadTokenPage(BaseModel):
    """One page of a list of upload tokens."""

    items: list[UploadTokenOut]
    next_cursor: str | None


def _shown(token: UploadToken) -> dict[str, Any]:
    same = ("id", "content_types", "max_files", "used_files", "visibility", "created_at", "expires_at")
    return {
        **{name: getattr(token, name) for name in same},
        "prefix": upload_token_prefix(token.id),
        "max_size": token.max_size_bytes,
    }
