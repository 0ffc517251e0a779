"""Tells by a request's headers which protocol it speaks, and hands it over. API room."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.tus.answers import UploadAnswer
from media_service.tus.draft_protocol import DraftProtocol, speaks_draft
from media_service.tus.tus_protocol import TusProtocol, check_version
from media_service.uploads.resumable.service import ResumableUploads

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Protocols:
    """Both protocols over one service."""

    uploads: ResumableUploads
    tus: TusProtocol
    draft: DraftProtocol

    def discover(self) -> UploadAnswer:
        answer = self.tus.discover()
        return UploadAnswer(answer.status, {**answer.headers, "Upload-Limit": self.draft.limits})

    async def create(self, caller: Caller, headers: Headers, chunks: AsyncIterable[bytes]) -> UploadAnswer:
        if _is_draft(headers):
            return await self.draft.create(caller, headers, chunks)
        check_version(headers)
        return await self.tus.create(caller, headers, chunks)

    async def look(self, caller: Caller, upload_id: UUID, headers: Headers) -> UploadAnswer:
        if await self._is_draft_upload(caller, upload_id, headers):
            return await self.draft.look(caller, upload_id, headers)
        check_version(headers)
        return await self.tus.look(caller, upload_id)

    async def append(
        self, caller: Caller, upload_id: UUID, headers: Headers, chunks: AsyncIterable[bytes]
    ) -> UploadAnswer:
        if _is_draft(headers):
            return await self.draft.append(caller, upload_id, headers, chunks)
        check_version(headers)
        return await self.tus.append(caller, upload_id, headers, chunks)

    async def terminate(self, caller: Caller, upload_id: UUID, headers: Headers) -> UploadAnswer:
        if await self._is_draft_upload(caller, upload_id, headers):
            return await self.draft.cancel(caller, upload_id)
        check_version(headers)
        return await self.tus.terminate(caller, upload_id)

    async def override(
        self, caller: Caller, upload_id: UUID, headers: Headers, chunks: AsyncIterable[bytes]
    ) -> UploadAnswer:
        """A POST in place of a method that something between us and the client would not let through."""
        match headers.get("x-http-method-override", "").upper():
            case "PATCH":
                return await self.append(caller, upload_id, headers, chunks)
            case "DELETE":
                return await self.terminate(caller, upload_id, headers)
            case "HEAD":
                return await self.look(caller, upload_id, headers)
            case _:
                raise MediaServiceError(
                    ErrorKind.INVALID,
                    "bad-method-override",
                    "A POST to an upload has an X-HTTP-Method-Override: PATCH, DELETE or HEAD.",
                )

    async def _is_draft_upload(self, caller: Caller, upload_id: UUID, headers: Headers) -> bool:
        """By the headers; where there are none (the draft needs none to ask or to cancel), by the upload."""
        if "tus-resumable" in headers or speaks_draft(headers):
            return _is_draft(headers)
        return await self.uploads.protocol_of(caller, upload_id) == "ietf"


def _is_draft(headers: Headers) -> bool:
    return "tus-resumable" not in headers and speaks_draft(headers)
