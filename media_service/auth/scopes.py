"""What a credential may do. Core room."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError


class Scope(StrEnum):
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    FILES_DELETE = "files:delete"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    WEBHOOKS = "webhooks"
    KEYS = "keys"
    ADMIN = "admin"
    """Implies all others, over every owner's files."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, as far as the rest of the service needs to know."""

    owner_id: UUID
    scopes: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def has(self, scope: Scope) -> bool:
        return self.is_admin or scope in self.scopes

    def may_see(self, owner_id: UUID) -> bool:
        return self.is_admin or owner_id == self.owner_id


def missing_credentials() -> MediaServiceError:
    """The answer to a request that needs a caller and has none."""
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "missing-credentials",
        "Send an API key as 'Authorization: Bearer msk_...' or in 'X-API-Key'.",
    )
