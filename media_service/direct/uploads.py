"""Finds direct uploads for whoever may know of them. API room."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from media_service.auth.models import UploadToken, User
from media_service.auth.scopes import Account, Caller, UploadGrant
from media_service.database import Database
from media_service.direct import queries
from media_service.direct.models import DirectUpload
from media_service.direct.plans import PartPlan
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import Visibility
from media_service.models import utc_now
from media_service.uploads.models import UploadSession


@dataclass(frozen=True, slots=True)
class OpenDirectUpload:
    """A direct upload that is not over."""

    row: DirectUpload
    owner: Caller
    """As whom it may be completed by whoever has a signed URL of it, bound by the upload token that it was
    begun with; with no scopes for anything else."""
    storage_upload_id: str

    @property
    def id(self) -> UUID:
        return self.row.session_id

    @property
    def expires_at(self) -> datetime:
        return self.row.expires_at

    @property
    def plan(self) -> PartPlan:
        return PartPlan(self.row.size_bytes, self.row.part_size_bytes)


class DirectUploadFinder:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, upload_id: UUID) -> OpenDirectUpload | None:
        """An upload of an enabled user, whoever asks; None if it is not there any more.

        Raises MediaServiceError (gone) for one whose time is over.
        """
        async with self._database.read() as session:
            found = (await session.execute(queries.direct_upload(upload_id))).one_or_none()
        if found is None:
            return None
        row, session_row, user, token = found
        storage_upload_id = session_row.storage_upload_id
        if storage_upload_id is None:
            return None  # its start has not ended, or failed
        if session_row.upload_token_id is not None and token is None:
            return None  # nobody knows what its token allowed
        if row.expires_at <= utc_now():
            raise MediaServiceError(
                ErrorKind.GONE, "upload-expired", "The time of this upload is over; start a new one."
            )
        return OpenDirectUpload(row, owner_of(user, session_row, token), storage_upload_id)

    async def of_caller(self, upload_id: UUID, caller: Caller) -> OpenDirectUpload:
        """The caller's own. Raises MediaServiceError: not found, gone."""
        found = await self.find_of_caller(upload_id, caller)
        if found is None:
            raise upload_not_found()
        return found

    async def find_of_caller(self, upload_id: UUID, caller: Caller) -> OpenDirectUpload | None:
        """As `of_caller`, where its end is no error."""
        found = await self.find(upload_id)
        return found if found is not None and _may_go_on(found.owner, caller) else None


def _may_go_on(owner: Caller, caller: Caller) -> bool:
    """Not even an admin with what is another's: what comes of it belongs to whoever completes it.

    An upload token goes on with the uploads that were begun with it alone.
    """
    is_granted = caller.upload_token is None or owner.credential_id == caller.upload_token.id
    return owner.owner_id == caller.owner_id and is_granted


def owner_of(user: User, session_row: UploadSession, token: UploadToken | None) -> Caller:
    account = Account(
        user.quota_bytes, user.quota_files, user.stored_bytes, user.stored_files, user.files_revision
    )
    if token is None:
        return Caller(user.id, frozenset(), session_row.id, account)
    return Caller(user.id, frozenset(), token.id, account, upload_token=grant_of(token))


def grant_of(token: UploadToken) -> UploadGrant:
    return UploadGrant(
        token.id,
        token.max_size_bytes,
        tuple(token.content_types),
        token.max_files - token.used_files,
        Visibility(token.visibility) if token.visibility is not None else None,
    )


def upload_not_found() -> MediaServiceError:
    """One answer for "no such upload" and "not yours"."""
    return MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such upload.")
