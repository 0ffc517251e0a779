"""What a credential may do. Core room."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from media_service.auth.models import Role
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import Visibility


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

    @property
    def meaning(self) -> str:
        """For the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    Scope.FILES_READ: "List, describe and download files, and sign URLs.",
    Scope.FILES_WRITE: "Upload files, change and process them.",
    Scope.FILES_DELETE: "Delete files.",
    Scope.JOBS_READ: "See jobs.",
    Scope.JOBS_WRITE: "Retry and cancel jobs.",
    Scope.WEBHOOKS: "Manage webhooks.",
    Scope.KEYS: "Make, list and delete API keys.",
    Scope.ADMIN: "All of this for every owner, and users; admins only.",
}


@dataclass(frozen=True, slots=True)
class Account:
    """What an owner may store and stores, as it was when the request began. None: without a limit."""

    quota_bytes: int | None = None
    quota_files: int | None = None
    stored_bytes: int = 0
    stored_files: int = 0
    files_revision: int = 0

    @property
    def has_quota(self) -> bool:
        return self.quota_bytes is not None or self.quota_files is not None


@dataclass(frozen=True, slots=True)
class UploadGrant:
    """What an upload token is good for, as of the start of the request (`uploads/grants.py` enforces it)."""

    id: UUID
    """Of the token."""
    max_size_bytes: int | None
    """Of one file; None: as much as the service takes."""
    content_types: tuple[str, ...]
    """Patterns of sniffed types; empty: whatever the service takes."""
    remaining_files: int
    visibility: Visibility | None
    """Of the files it makes, whatever the upload asks for; None: as the upload says."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, as far as the rest of the service needs to know."""

    owner_id: UUID
    scopes: frozenset[str]
    credential_id: UUID
    """Of the API key, the login or the upload token: what one program or browser calls with."""
    account: Account
    session_id: UUID | None = None
    """The login that the credential came of; None for an API key."""
    upload_token: UploadGrant | None = None
    """There if the credential is an upload token: it has no scope, sees nothing, and may only upload."""
    expires_at: datetime | None = None
    """Of an API key, and so of the keys that it makes. None also for a login, which goes on by refreshes."""

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def has(self, scope: Scope) -> bool:
        return self.is_admin or scope in self.scopes

    def may_see(self, owner_id: UUID) -> bool:
        return self.is_admin or (owner_id == self.owner_id and self.upload_token is None)


def scopes_of(role: Role) -> frozenset[str]:
    """All that a user of this role may do, and so the most that a login gives."""
    return frozenset(scope.value for scope in Scope if scope is not Scope.ADMIN or role is Role.ADMIN)


def allowed_scopes(granted: Iterable[str], role: Role) -> frozenset[str]:
    """Those of the scopes of a credential that its owner still has: a demoted admin's keys are no admin's."""
    return frozenset(granted) & scopes_of(role)


def narrowed_scopes(wanted: str, role: Role) -> frozenset[str]:
    """The scopes that a login asks for (RFC 6749 §3.3), or all of the role if it asks for none.

    Raises MediaServiceError (invalid) for a scope that does not exist or that the role does not have.
    """
    scopes = scopes_of(role)
    asked_for = frozenset(wanted.split())
    if not asked_for <= scopes:
        raise MediaServiceError(
            ErrorKind.INVALID,
            "invalid-scope",
            "At least one of these scopes does not exist, or this account does not have it.",
            scopes=sorted(scopes),
        )
    return asked_for or scopes


def missing_scope(scope: str) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.FORBIDDEN, "missing-scope", f"This credential lacks the scope '{scope}'.", scope=scope
    )


def only_for_uploads() -> MediaServiceError:
    """The answer to an upload token on any route that is no upload."""
    return MediaServiceError(
        ErrorKind.FORBIDDEN,
        "missing-scope",
        "This credential is an upload token, which is good for uploads only.",
    )


def bad_upload_token() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED, "invalid-credentials", "The upload token is unknown, expired or revoked."
    )


def missing_credentials() -> MediaServiceError:
    """The answer to a request that needs a caller and has none."""
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "missing-credentials",
        "Send an API key or an access token as 'Authorization: Bearer ...', or an API key in 'X-API-Key'.",
    )
