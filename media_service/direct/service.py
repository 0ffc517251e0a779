"""Starts direct uploads, renews their URLs, says what has come, and aborts. API room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.direct.models import DirectUpload
from media_service.direct.plans import PartPlan
from media_service.direct.queries import INSERT_DIRECT_UPLOADS
from media_service.direct.transports import ArrivedPart, PartTransport
from media_service.direct.uploads import DirectUploadFinder, OpenDirectUpload
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.names import clean_name
from media_service.files.schemas import FileFields
from media_service.models import new_id, utc_now
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.storage.limits import part_size_for
from media_service.uploads import queries
from media_service.uploads.claims import claim
from media_service.uploads.grants import narrowed, use_grant
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.sniffing import UNKNOWN

PROTOCOL = "direct"
AFTER_EXPIRY = timedelta(hours=1)
"""How long the claim on the bytes outlives the last moment at which a completion may begin: the largest takes
S3 minutes, and the sweeper must not take its bytes meanwhile."""

MAX_URLS = 1000
"""Signed in one call; a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a client says of a file that it will send; None where its protocol has no word for it."""

    filename: str
    size_bytes: int | None
    sha256: str | None
    fields: FileFields
    part_size_bytes: int | None = None
    """Where the client decides."""


@dataclass(frozen=True, slots=True)
class PartUrls:
    """URLs by the numbers of the parts."""

    urls: Mapping[int, str]
    expire_at: datetime


class DirectUploads:
    """The uploads of callers, each its own; "not yours" and "not there" are one answer."""

    def __init__(
        self,
        *,
        database: Database,
        storage: AsyncStorage,
        finder: DirectUploadFinder,
        transports: Mapping[bool, PartTransport],
        policy: UploadPolicy,
        lifetime: timedelta,
        url_lifetime: timedelta,
        part_size_bytes: int,
    ) -> None:
        self._database = database
        self._storage = storage
        self._finder = finder
        self._transports = transports
        self._policy = policy
        self._lifetime = lifetime
        self._url_lifetime = url_lifetime
        self._part_size_bytes = part_size_bytes

    async def start(
        self, caller: Caller, announced: Announcement, *, through_us: bool = False
    ) -> OpenDirectUpload:
        """Begin an upload; `through_us` has this service take the bytes even where the storage could.

        Raises MediaServiceError: too large, over quota, upload token used up.
        """
        narrowed(self._policy, caller.upload_token).check_size(announced.size_bytes or 0)
        row = self._row(announced, is_presigned=True in self._transports and not through_us)
        # The row comes first: a crash between the two leaves a row without an upload, which is harmless.
        await self._database.run_transaction(lambda session: self._insert(session, caller, row))
        storage_upload_id = await self._begin(row)
        async with self._database.transaction() as session:
            await session.execute(queries.set_storage_upload(row.session_id, storage_upload_id))
        return OpenDirectUpload(row, caller, storage_upload_id)

    async def find(self, upload_id: UUID, caller: Caller) -> OpenDirectUpload:
        """Raises MediaServiceError: not found, gone."""
        return await self._finder.of_caller(upload_id, caller)

    async def urls(self, upload: OpenDirectUpload, numbers: Sequence[int]) -> PartUrls:
        """URLs for parts, new ones at each call. Raises MediaServiceError (invalid) for other numbers."""
        count = upload.plan.count
        if not numbers or len(numbers) > MAX_URLS or not all(1 <= number <= count for number in numbers):
            raise MediaServiceError(
                ErrorKind.INVALID,
                "no-such-part",
                f"Name up to {MAX_URLS} parts; those of this upload are numbered from 1 to {count}.",
                part_count=count,
            )
        expire_at = self.urls_expire_at(upload)
        transport = self._transports[upload.row.is_presigned]
        urls = await transport.urls(upload.row, upload.storage_upload_id, numbers, expires_at=expire_at)
        return PartUrls(urls, expire_at)

    def urls_expire_at(self, upload: OpenDirectUpload) -> datetime:
        """When URLs end that are made now: never after the upload."""
        soonest = utc_now() + timedelta(seconds=2)  # a signature of S3 lives for at least one
        return max(min(utc_now() + self._url_lifetime, upload.expires_at), soonest)

    async def arrived(self, upload: OpenDirectUpload) -> list[ArrivedPart]:
        """The parts that the storage holds, in order."""
        try:
            return await self._transports[upload.row.is_presigned].arrived(
                upload.row, upload.storage_upload_id
            )
        except ObjectNotFoundError:
            return []  # just being completed, or given up by the storage

    async def abort(self, upload_id: UUID, caller: Caller) -> None:
        """Give up an upload with all its parts. Raises MediaServiceError: not found, gone."""
        upload = await self._finder.of_caller(upload_id, caller)
        async with self._database.transaction() as session:
            taken = (await session.scalars(queries.delete_sessions([upload_id]))).one_or_none()
        if taken is not None:
            await self._storage.abort_upload(upload.row.key, upload.storage_upload_id)
            # A completion may have made the object and not have ended the session: then it finds it gone.
            await self._storage.delete([upload.row.key])

    def _row(self, announced: Announcement, *, is_presigned: bool) -> DirectUpload:
        limits, size_bytes = self._storage.part_limits, announced.size_bytes
        piece_bytes = part_size_for(limits, length_bytes=size_bytes or self._policy.max_file_size_bytes)
        plan = PartPlan.of(
            limits,
            size_bytes=size_bytes,
            wanted_part_bytes=announced.part_size_bytes or self._part_size_bytes,
            piece_bytes=1 if is_presigned else piece_bytes,
        )
        return DirectUpload(
            session_id=new_id(),
            is_presigned=is_presigned,
            filename=clean_name(announced.filename),
            size_bytes=size_bytes,
            sha256=announced.sha256,
            part_size_bytes=plan.part_size_bytes,
            piece_size_bytes=plan.part_size_bytes if is_presigned else piece_bytes,
            fields=announced.fields.model_dump(mode="json"),
            expires_at=utc_now() + self._lifetime,
        )

    def _insert(self, session: Session, caller: Caller, row: DirectUpload) -> None:
        # Anew for each try of the transaction: an instance belongs to one session.
        claim(
            session,
            row.session_id,
            owner_id=caller.owner_id,
            protocol=PROTOCOL,
            size_bytes=row.size_bytes,
            lease=self._lifetime + AFTER_EXPIRY,
            upload_token_id=caller.upload_token.id if caller.upload_token is not None else None,
        )
        session.execute(INSERT_DIRECT_UPLOADS, [row.column_values()])
        # The session counts against the token while it lives, so it is asked after the insert.
        use_grant(session, caller, files=0)

    async def _begin(self, row: DirectUpload) -> str:
        """Begin an upload of the storage. Nobody has looked at the bytes, so their type is not known."""
        try:
            return await self._storage.create_upload(
                row.key, content_type=UNKNOWN, part_size_bytes=row.piece_size_bytes
            )
        except MediaServiceError:
            async with self._database.transaction() as session:
                await session.execute(queries.delete_sessions([row.session_id]))
            raise
