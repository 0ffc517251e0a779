"""Resumable Uploads for HTTP, the IETF's draft, over the same uploads. API room.

draft-ietf-httpbis-resumable-upload; sections are those of its version -12. Versions differ in little: up to
interop version 3 the header is `Upload-Incomplete`, from 6 on the content type of a PATCH is prescribed.
Interim responses (104) are not sent: uvicorn cannot, and the draft lets servers leave them out.
"""

from collections.abc import AsyncIterable, Mapping
from typing import NoReturn
from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.tus.answers import Links, UploadAnswer
from media_service.tus.header_values import flag_of, media_type, number_of
from media_service.tus.metadata import announced_by, parse_metadata
from media_service.uploads.headers import declared_length, disposition_filename
from media_service.uploads.resumable.errors import bad_upload_header, inconsistent_length
from media_service.uploads.resumable.service import ResumableUploads
from media_service.uploads.resumable.views import Append, NewUpload, UploadView

BYTES_TYPE = "application/partial-upload"
INTEROP = "upload-draft-interop-version"
COMPLETE = "upload-complete"
INCOMPLETE = "upload-incomplete"
WITH_INCOMPLETE = 3
"""The last version that says it the other way round."""
WITH_TYPE = 6
"""The first version that prescribes the content type."""

Headers = Mapping[str, str]


class DraftProtocol:
    """Headers in, headers out."""

    def __init__(
        self,
        uploads: ResumableUploads,
        links: Links,
        *,
        versions: tuple[int, ...],
        max_append_bytes: int | None,
        max_age_seconds: int,
    ) -> None:
        self._uploads = uploads
        self._links = links
        self._versions = frozenset(versions)
        self._max_append_bytes = max_append_bytes
        self._max_age_seconds = max_age_seconds

    @property
    def limits(self) -> str:
        """A dictionary (RFC 9651 §3.2) of what uploads may be (§5.1.4)."""
        append = [] if self._max_append_bytes is None else [f"max-append-size={self._max_append_bytes}"]
        bounds = [f"max-size={self._uploads.max_size_bytes}", "min-size=0", *append]
        return ", ".join([*bounds, f"max-age={self._max_age_seconds}"])

    async def create(self, caller: Caller, headers: Headers, chunks: AsyncIterable[bytes]) -> UploadAnswer:
        """§4.2: a new upload with its first bytes, or none, or all."""
        is_last = self._is_last(headers)
        new = self._new_upload(headers, is_last=is_last)
        append = Append(0, declared_bytes=declared_length(headers.get("content-length")), is_last=is_last)
        self._check_append(append)
        view = await self._uploads.create(caller, new)
        if not view.is_finished:
            view = await self._append(caller, view.id, append, chunks)
        headers_out = {"Location": self._links.upload(view.id), **self._progress(headers, view)}
        return UploadAnswer(201, headers_out, file_id=view.file_id)

    async def look(self, caller: Caller, upload_id: UUID, headers: Headers) -> UploadAnswer:
        """§4.3."""
        self._check_version(headers)
        view = await self._uploads.look(caller, upload_id)
        length = {} if view.length_bytes is None else {"Upload-Length": str(view.length_bytes)}
        return UploadAnswer(204, {"Cache-Control": "no-store", **length, **self._progress(headers, view)})

    async def append(
        self, caller: Caller, upload_id: UUID, headers: Headers, chunks: AsyncIterable[bytes]
    ) -> UploadAnswer:
        """§4.4: bytes from the offset on; of a complete upload, the answer that may have been lost."""
        is_last = self._is_last(headers)
        if media_type(headers) != BYTES_TYPE and (self._version(headers) or WITH_TYPE) >= WITH_TYPE:
            raise MediaServiceError(
                ErrorKind.UNSUPPORTED_TYPE, "bad-patch-type", f"The Content-Type of a PATCH is {BYTES_TYPE}."
            )
        offset_bytes = number_of(headers, "upload-offset")
        if offset_bytes is None:
            raise bad_upload_header("Upload-Offset", "is missing")
        append = Append(
            offset_bytes,
            declared_bytes=declared_length(headers.get("content-length")),
            length_bytes=number_of(headers, "upload-length"),
            is_last=is_last,
        )
        self._check_append(append)
        view = await self._append(caller, upload_id, append, chunks)
        return UploadAnswer(
            200 if view.is_finished else 204, self._progress(headers, view), file_id=view.file_id
        )

    async def cancel(self, caller: Caller, upload_id: UUID) -> UploadAnswer:
        """§4.5."""
        await self._uploads.terminate(caller, upload_id)
        return UploadAnswer(204)

    async def _append(
        self, caller: Caller, upload_id: UUID, append: Append, chunks: AsyncIterable[bytes]
    ) -> UploadView:
        try:
            return await self._uploads.append(caller, upload_id, append, chunks)
        except MediaServiceError as error:
            if error.code == "upload-exceeds-length":
                # §4.1.3: more bytes than there can be make the whole upload suspect.
                await self._uploads.terminate(caller, upload_id)
                _raise_inconsistent(error)
            raise

    def _new_upload(self, headers: Headers, *, is_last: bool) -> NewUpload:
        length_bytes, declared_bytes = (
            number_of(headers, "upload-length"),
            declared_length(headers.get("content-length")),
        )
        if is_last and None not in {length_bytes, declared_bytes} and length_bytes != declared_bytes:
            raise inconsistent_length(
                "A request with the whole upload has as many bytes as Upload-Length says."
            )
        metadata = headers.get("upload-metadata")
        name = disposition_filename(headers.get("content-disposition")) or ""
        return NewUpload(
            protocol="ietf",
            length_bytes=declared_bytes if is_last and length_bytes is None else length_bytes,
            announced=announced_by(parse_metadata(metadata or ""), fallback_name=name),
            metadata_header=metadata,
        )

    def _check_append(self, append: Append) -> None:
        limit, declared_bytes = self._max_append_bytes, append.declared_bytes or 0
        if limit is not None and declared_bytes > limit:
            raise MediaServiceError(
                ErrorKind.TOO_LARGE,
                "append-too-large",
                f"One request may append at most {limit} bytes.",
                limit_bytes=limit,
            )

    def _is_last(self, headers: Headers) -> bool:
        """Whether the upload ends with this request. Raises MediaServiceError if it does not say so."""
        self._check_version(headers)
        complete, incomplete = flag_of(headers, COMPLETE), flag_of(headers, INCOMPLETE)
        if complete is None and incomplete is None:
            raise bad_upload_header("Upload-Complete", "is missing")
        return complete if complete is not None else not incomplete

    def _check_version(self, headers: Headers) -> None:
        version = self._version(headers)
        if version is not None and version not in self._versions:
            raise MediaServiceError(
                ErrorKind.INVALID,
                "unsupported-interop-version",
                "This version of the draft is not spoken here; see 'versions'.",
                versions=sorted(self._versions),
            )

    def _version(self, headers: Headers) -> int | None:
        return number_of(headers, INTEROP)

    def _progress(self, headers: Headers, view: UploadView) -> dict[str, str]:
        version = self._version(headers)
        echoed = {} if version is None else {"Upload-Draft-Interop-Version": str(version)}
        is_old = version is not None and version <= WITH_INCOMPLETE
        complete = (
            {"Upload-Incomplete": "?0" if view.is_finished else "?1"}
            if is_old
            else {"Upload-Complete": "?1" if view.is_finished else "?0"}
        )
        return {
            "Upload-Offset": str(view.offset_bytes),
            "Upload-Limit": self.limits,
            **complete,
            **echoed,
            **self._links.of_file(view),
        }


def speaks_draft(headers: Headers) -> bool:
    """Whether a request is of this protocol; the version header may be missing."""
    return (
        any(name in headers for name in (INTEROP, COMPLETE, INCOMPLETE)) or media_type(headers) == BYTES_TYPE
    )


def _raise_inconsistent(error: MediaServiceError) -> NoReturn:
    raise inconsistent_length(f"{error.detail} The upload was ended.") from error
