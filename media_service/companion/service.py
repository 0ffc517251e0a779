"""Companion's contract over direct uploads. API room."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.companion.schemas import (
    UPPY_PART_BYTES,
    CompletedUpload,
    FormParams,
    ListedPart,
    Multipart,
    MultipartCompletion,
    NewMultipart,
    SignedPart,
    SignedParts,
    announcement,
    upload_key,
)
from media_service.direct.completion import DirectCompletion
from media_service.direct.service import DirectUploads
from media_service.direct.transports import SignedTransport
from media_service.direct.uploads import OpenDirectUpload, upload_not_found
from media_service.files.presentation import FilePresenter
from media_service.models import utc_now


@dataclass(frozen=True, slots=True)
class Named:
    """How Companion's clients name an upload."""

    upload_id: UUID
    key: str

    def checked_id(self) -> UUID:
        """Raises MediaServiceError (not found) unless both names fit."""
        if self.key != upload_key(self.upload_id):
            raise upload_not_found()
        return self.upload_id


class CompanionService:
    def __init__(
        self,
        *,
        directs: DirectUploads,
        completion: DirectCompletion,
        own_urls: SignedTransport,
        presenter: FilePresenter,
        max_file_size_bytes: int,
    ) -> None:
        self._directs = directs
        self._completion = completion
        self._own_urls = own_urls
        self._presenter = presenter
        self._max_file_size_bytes = max_file_size_bytes

    async def form(self, caller: Caller, filename: str, metadata: dict[str, Any]) -> FormParams:
        """For a file that is sent at once: one part of any size, which this service takes."""
        announced = announcement(filename, metadata, part_size_bytes=self._max_file_size_bytes)
        upload = await self._directs.start(caller, announced, through_us=True)
        expires_at = self._directs.urls_expire_at(upload)
        return FormParams(
            url=await self._own_urls.form_url(upload.id, expires_at=expires_at),
            fields={"key": upload_key(upload.id)},
            expires=int((expires_at - utc_now()).total_seconds()),
        )

    async def create(self, caller: Caller, wanted: NewMultipart) -> Multipart:
        announced = announcement(wanted.filename, wanted.metadata, part_size_bytes=UPPY_PART_BYTES)
        upload = await self._directs.start(caller, announced)
        return Multipart(key=upload_key(upload.id), upload_id=str(upload.id))

    async def list_parts(self, caller: Caller, named: Named) -> list[ListedPart]:
        parts = await self._directs.arrived(await self._find(caller, named))
        return [ListedPart(PartNumber=part.number, Size=part.size_bytes, ETag=part.etag) for part in parts]

    async def sign_part(self, caller: Caller, named: Named, number: int) -> SignedPart:
        made = await self._directs.urls(await self._find(caller, named), [number])
        expires = int((made.expire_at - utc_now()).total_seconds())
        return SignedPart(url=made.urls[number], expires=expires)

    async def sign_parts(self, caller: Caller, named: Named, numbers: list[int]) -> SignedParts:
        made = await self._directs.urls(await self._find(caller, named), numbers)
        return SignedParts(presigned_urls={str(number): url for number, url in made.urls.items()})

    async def complete(self, caller: Caller, named: Named, sent: MultipartCompletion) -> CompletedUpload:
        file = await self._completion.complete(named.checked_id(), caller, sent.etags())
        return CompletedUpload(location=self._presenter.file_url(file.id), key=upload_key(file.id))

    async def abort(self, caller: Caller, named: Named) -> None:
        await self._directs.abort(named.checked_id(), caller)

    async def _find(self, caller: Caller, named: Named) -> OpenDirectUpload:
        return await self._directs.find(named.checked_id(), caller)
