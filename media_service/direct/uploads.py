"""Finds direct uploads for whoever may know of them. API room."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from media_service.auth.models import User
from media_service.auth.scopes import Account, Caller
from media_service.database import Database
from media_service.direct import queries
from media_service.direct.models import DirectUpload
from media_service.direct.plans import PartPlan
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import utc_now
from media_service.uploads.models import UploadSession


@dataclass(frozen=True, slots=True)
class OpenDirectUpload:
    """A direct upload that is not over."""

    row: DirectUpload
    owner: Caller
    """As whom it may be completed by whoever has a signed URL of it; with no scopes for anything else."""
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
        row, session_row, user = found
        storage_upload_id = session_row.storage_upload_id
        if storage_upload_id is None:
            return None  # its start has not ended, or failed
        if row.expires_at <= utc_now():
            raise MediaServiceError(
                ErrorKind.GONE, "upload-expired", "The time of this upload is over; start a new one."
            )
        return OpenDirectUpload(row, owner_of(session_row, user), storage_upload_id)

    async def of_caller(self, upload_id: UUID, caller: Caller) -> OpenDirectUpload:
        """The caller's own. Raises MediaServiceError: not found, gone."""
        found = await self.find_of_caller(upload_id, caller)
        if found is None:
            raise upload_not_found()
        return found

    async def find_of_caller(self, upload_id: UUID, caller: Caller) -> OpenDirectUpload | None:
        """As `of_caller`, where its end is no error."""
        found = await self.find(upload_id)
        # Not even an admin's: what comes of it belongs to whoever completes it.
        return found if found is not None and found.owner.owner_id == caller.owner_id else None


def owner_of(session_row: UploadSession, user: User) -> Caller:
    account = Account(
        user.quota_bytes, user.quota_files, user.stored_bytes, user.stored_files, user.files_revision
    )
    credential_id = session_row.upload_token_id or session_row.id
    return Caller(user.id, frozenset(), credential_id, account)


def upload_not_found() -> MediaServiceError:
    """One answer for "no such upload" and "not yours"."""
    return MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such upload.")
