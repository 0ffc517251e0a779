"""Signed URLs as clients see them. API room."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from media_service.auth.signing import MAX_URL_LIFETIME
from media_service.web.disposition import Disposition

MAX_EXPIRY_SECONDS = int(MAX_URL_LIFETIME.total_seconds())
DEFAULT_EXPIRY_SECONDS = 900


class SignedUrl(BaseModel):
    """A URL that works without other credentials until `expires_at`."""

    url: str
    expires_at: datetime


class SignedUrlRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file_id: UUID
    rendition: Annotated[str | None, Field(max_length=32)] = None
    disposition: Disposition | None = None


class SignedUrlBatch(BaseModel):
    """Files to sign URLs for, in one call."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[SignedUrlRequest], Field(min_length=1, max_length=1000)]
    expires_in: Annotated[int, Field(ge=1, le=MAX_EXPIRY_SECONDS)] = DEFAULT_EXPIRY_SECONDS


class SignedUrlItem(SignedUrl):
    file_id: UUID
    rendition: str | None


class SignedUrlItems(BaseModel):
    items: list[SignedUrlItem]
