"""tus 1.0.0 and its extensions, over resumable uploads. API room.

https://tus.io/protocols/resumable-upload is the specification that the comments cite.
"""

import base64
import binascii
import re
from collections.abc import AsyncIterable, Mapping
from uuid import UUID

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.tus.answers import Links, UploadAnswer, http_date
from media_service.tus.header_values import media_type, number_of
from media_service.tus.metadata import announced_by, parse_metadata
from media_service.uploads.headers import declared_length
from media_service.uploads.resumable.checksums import ALGORITHMS
from media_service.uploads.resumable.errors import bad_upload_header
from media_service.uploads.resumable.service import ResumableUploads
from media_service.uploads.resumable.views import Append, NewUpload, UploadView

VERSION = "1.0.0"
EXTENSIONS = (
    "creation", "creation-with-upload", "creation-defer-length", "termination", "expiration", "checksum",
    "concatenation",
)  # fmt: skip
BYTES_TYPE = "application/offset+octet-stream"

Headers = Mapping[str, str]

_UPLOAD_URL = re.compile(r"(?:[^\s?#]*/)?v1/uploads/([0-9a-f-]{36})/?")


class TusProtocol:
    """Headers in, headers out."""

    def __init__(self, uploads: ResumableUploads, links: Links) -> None:
        self._uploads = uploads
        self._links = links

    def discover(self) -> UploadAnswer:
        """What the server can do (OPTIONS)."""
        return UploadAnswer(
            204,
            {
                "Tus-Resumable": VERSION,
                "Tus-Version": VERSION,
                "Tus-Extension": ",".join(EXTENSIONS),
                "Tus-Max-Size": str(self._uploads.max_size_bytes),
                "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
            },
        )

    async def create(self, caller: Caller, headers: Headers, chunks: AsyncIterable[bytes]) -> UploadAnswer:
        """POST: a new upload, its first bytes with it if the content type says so, or the whole of others."""
        concat = headers.get("upload-concat")
        if concat is not None and concat.startswith("final;"):
            return self._created(await self._join(caller, headers, concat))
        if concat not in {None, "partial"}:
            raise bad_upload_header("Upload-Concat", "is neither 'partial' nor 'final;' with addresses")
        view = await self._uploads.create(caller, self._new_upload(headers, _length(headers)))
        if media_type(headers) == BYTES_TYPE:
            view = await self._uploads.append(caller, view.id, _append(headers, offset_bytes=0), chunks)
        return self._created(view)

    async def look(self, caller: Caller, upload_id: UUID) -> UploadAnswer:
        """HEAD: how far an upload is."""
        view = await self._uploads.look(caller, upload_id)
        deferred = {"Upload-Defer-Length": "1"} if view.length_bytes is None else {}
        known = {"Upload-Length": str(view.length_bytes)} if view.length_bytes is not None else {}
        echoed = {
            name: value
            for name, value in (
                ("Upload-Metadata", view.metadata_header),
                ("Upload-Concat", view.concat_header),
            )
            if value is not None
        }
        headers = {"Cache-Control": "no-store", **deferred, **known, **echoed, **self._progress(view)}
        return UploadAnswer(200, headers)

    async def append(
        self, caller: Caller, upload_id: UUID, headers: Headers, chunks: AsyncIterable[bytes]
    ) -> UploadAnswer:
        """PATCH: bytes from the offset on."""
        if media_type(headers) != BYTES_TYPE:
            raise MediaServiceError(
                ErrorKind.UNSUPPORTED_TYPE, "bad-patch-type", f"The Content-Type of a PATCH is {BYTES_TYPE}."
            )
        offset_bytes = number_of(headers, "upload-offset")
        if offset_bytes is None:
            raise bad_upload_header("Upload-Offset", "is missing")
        append = _append(headers, offset_bytes=offset_bytes, length_bytes=number_of(headers, "upload-length"))
        view = await self._uploads.append(caller, upload_id, append, chunks)
        return UploadAnswer(204, self._progress(view))

    async def terminate(self, caller: Caller, upload_id: UUID) -> UploadAnswer:
        """DELETE."""
        await self._uploads.terminate(caller, upload_id)
        return UploadAnswer(204, {"Tus-Resumable": VERSION})

    def _new_upload(self, headers: Headers, length_bytes: int | None) -> NewUpload:
        metadata = headers.get("upload-metadata")
        return NewUpload(
            protocol="tus",
            length_bytes=length_bytes,
            announced=announced_by(parse_metadata(metadata or "")),
            metadata_header=metadata,
            concat_header=headers.get("upload-concat"),
        )

    async def _join(self, caller: Caller, headers: Headers, concat: str) -> UploadView:
        if "upload-length" in headers or "upload-defer-length" in headers:
            raise bad_upload_header(
                "Upload-Length", "has no place in a final upload: it is the sum of its parts"
            )
        upload_ids = [_upload_id(url) for url in concat.removeprefix("final;").split()]
        if not upload_ids:
            raise bad_upload_header("Upload-Concat", "names no uploads")
        return await self._uploads.join(caller, upload_ids, self._new_upload(headers, None))

    def _created(self, view: UploadView) -> UploadAnswer:
        return UploadAnswer(201, {"Location": self._links.upload(view.id), **self._progress(view)})

    def _progress(self, view: UploadView) -> dict[str, str]:
        expiry = {} if view.is_finished else {"Upload-Expires": http_date(view.expires_at)}
        return {
            "Tus-Resumable": VERSION,
            "Upload-Offset": str(view.offset_bytes),
            **expiry,
            **self._links.of_file(view),
        }


def check_version(headers: Headers) -> None:
    """Raises MediaServiceError (precondition failed) for another version than ours, or none."""
    if headers.get("tus-resumable") != VERSION:
        raise MediaServiceError(
            ErrorKind.PRECONDITION_FAILED,
            "unsupported-tus-version",
            f"Send 'Tus-Resumable: {VERSION}', or the headers of the IETF draft (Upload-Complete).",
        )


def _append(headers: Headers, *, offset_bytes: int, length_bytes: int | None = None) -> Append:
    return Append(
        offset_bytes,
        declared_bytes=declared_length(headers.get("content-length")),
        length_bytes=length_bytes,
        checksum=_checksum(headers.get("upload-checksum")),
    )


def _length(headers: Headers) -> int | None:
    """What creation says of the length: exactly one of a number, and that it comes later."""
    length_bytes, deferred = number_of(headers, "upload-length"), headers.get("upload-defer-length")
    if deferred not in {None, "1"}:
        raise bad_upload_header("Upload-Defer-Length", "is not 1")
    if (length_bytes is None) == (deferred is None):
        raise bad_upload_header("Upload-Length", "or Upload-Defer-Length must be there, and not both")
    return length_bytes


def _checksum(header: str | None) -> tuple[str, bytes] | None:
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise bad_upload_header("Upload-Checksum", f"has none of the algorithms {', '.join(ALGORITHMS)}")
    try:
        return algorithm, base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise bad_upload_header("Upload-Checksum", "has no base64 after its algorithm") from None


def _upload_id(url: str) -> UUID:
    """The upload that an address names, absolute or relative."""
    found = _UPLOAD_URL.fullmatch(url)
    try:
        return UUID(found.group(1)) if found is not None else UUID(url)
    except ValueError:
        raise bad_upload_header("Upload-Concat", "has an address that is no upload's") from None
