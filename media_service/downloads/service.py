"""Finds what a download shall send, and makes URLs that work without credentials. API room."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from anyio import to_thread
from sqlalchemy.orm import Session

from media_service.auth.keyring import Keyring
from media_service.auth.scopes import Caller, Scope, missing_credentials
from media_service.auth.signing import UrlSigner, single_valued
from media_service.database import Database
from media_service.downloads.schemas import SignedUrlRequest
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files import queries
from media_service.files.access import check_downloadable, file_not_found, may_read, may_sign
from media_service.files.lifecycle import FileStatus, Visibility
from media_service.files.models import File, Rendition
from media_service.storage.port import PresignsDownloads
from media_service.transforms.spec import Preset
from media_service.web.blob_response import Representation
from media_service.web.conditional import Validators
from media_service.web.disposition import Disposition, content_disposition
from media_service.web.kept_answer import PRIVATE

PUBLIC_LIFETIME = timedelta(minutes=5)
"""For how long anybody may still have a public file once it is private again, be it from a cache or by a URL
that S3 signed. Longer hides less soon; shorter asks the service, or S3, more often."""
PUBLIC_CACHE = f"public, max-age={int(PUBLIC_LIFETIME.total_seconds())}"


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A URL that works until `expires_at` with no other credentials."""

    url: str
    expires_at: datetime


class DownloadService:
    """One read transaction per request, closed before a byte moves."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        presigner: PresignsDownloads | None,
        presets: tuple[Preset, ...],
        base_url: str,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._presigner = presigner
        self._preset_names = frozenset(preset.name for preset in presets)
        self._base_url = base_url

    async def original(
        self, file_id: UUID, caller: Caller | None, *, disposition: Disposition | None
    ) -> Representation:
        """An original that the caller may read. Raises MediaServiceError (401, 403, 404)."""
        found, _ = await self._load(file_id, None, caller)
        file = _readable(found, caller)
        return _original(file, disposition, _cache_of(file))

    async def rendition(
        self, file_id: UUID, name: str, caller: Caller | None, *, disposition: Disposition | None
    ) -> Representation:
        """A rendition that the caller may read. Raises MediaServiceError (401, 403, 404)."""
        found, rendition = await self._load(file_id, name, caller)
        file = _readable(found, caller)
        return _rendition(file, self._made(file, rendition, name), disposition, _cache_of(file))

    async def signed(
        self, file_id: UUID, rendition_name: str | None, *, path: str, query: Iterable[tuple[str, str]]
    ) -> Representation:
        """What a URL signed by the service names. Raises MediaServiceError (403, 404, 410)."""
        given = single_valued(query)
        signer = UrlSigner(await self._keyring.keys(given.get("kid")))
        file, rendition = await self._load(file_id, rendition_name, None)
        now = time.time()
        # Also for what is not there: only who was given a URL may learn that its file is gone.
        epoch = 0 if file is None else file.url_epoch
        expires_at = signer.verify(path, given, epoch=epoch, now=now)
        if file is None:
            raise file_not_found()
        check_downloadable(file)
        cache = f"private, max-age={max(int(expires_at - now), 0)}"
        disposition: Disposition | None = "attachment" if given.get("disposition") == "attachment" else None
        if rendition_name is None:
            return _original(file, disposition, cache)
        return _rendition(file, self._made(file, rendition, rendition_name), disposition, cache)

    async def redirect(
        self, file_id: UUID, caller: Caller | None, *, disposition: Disposition | None, expires_in: timedelta
    ) -> str:
        """Where an original is that the caller may read. Raises MediaServiceError (401, 403, 404).

        Who reads a file because it is public gets nothing that outlives that by more than PUBLIC_LIFETIME.
        """
        found, _ = await self._load(file_id, None, None)
        if found is None and caller is not None and caller.is_admin:
            # Nothing signed works for a file of a disabled owner; an admin's own credentials do.
            hidden, _ = await self._load(file_id, None, caller)
            return self._content_url(_readable(hidden, caller), disposition)
        file = _readable(found, caller)
        if may_sign(file, caller):
            signer = UrlSigner(await self._keyring.keys())
            return self._link(signer, file, None, None, disposition, expires_in).url
        if self._presigner is not None:
            original = _original(file, disposition, PRIVATE)
            return _presigned(self._presigner, original, min(expires_in, PUBLIC_LIFETIME))
        return self._content_url(file, disposition)

    async def link(
        self,
        file_id: UUID,
        caller: Caller,
        *,
        rendition_name: str | None,
        disposition: Disposition | None,
        expires_in: timedelta,
    ) -> SignedLink:
        """A URL for a file that the caller may give away. Raises MediaServiceError (403, 404)."""
        found, rendition = await self._load(file_id, rendition_name, caller)
        file = _signable(found, caller)
        signer = UrlSigner(await self._keyring.keys())
        return self._link(signer, file, rendition, rendition_name, disposition, expires_in)

    async def links(
        self, wanted: Sequence[SignedUrlRequest], caller: Caller, *, expires_in: timedelta
    ) -> list[SignedLink]:
        """URLs for many files in one call; all of them, or an error (404) for the first that is not there."""
        ids = {item.file_id for item in wanted}
        async with self._database.read() as session:
            files = {file.id: file for file in await session.scalars(queries.files_by_ids(ids))}
            found = await session.scalars(queries.renditions_of_files(ids))
            renditions = {(rendition.file_id, rendition.name): rendition for rendition in found}
        signer = UrlSigner(await self._keyring.keys())

        def sign_all() -> list[SignedLink]:
            return [
                self._link(
                    signer,
                    _signable(files.get(item.file_id), caller),
                    renditions.get((item.file_id, item.rendition or "")),
                    item.rendition,
                    item.disposition,
                    expires_in,
                )
                for item in wanted
            ]

        # A signature costs 10 to 130 µs; a thousand of them would hold up every other request.
        return await to_thread.run_sync(sign_all)

    def _link(
        self,
        signer: UrlSigner,
        file: File,
        rendition: Rendition | None,
        name: str | None,
        disposition: Disposition | None,
        expires_in: timedelta,
    ) -> SignedLink:
        found = (
            _original(file, disposition, PRIVATE)
            if name is None
            else _rendition(file, self._made(file, rendition, name), disposition, PRIVATE)
        )
        expires_at = datetime.now(UTC).replace(microsecond=0) + expires_in
        if self._presigner is not None:
            return SignedLink(_presigned(self._presigner, found, expires_in), expires_at)
        return SignedLink(self._sign(signer, file, name, disposition, expires_at), expires_at)

    def _content_url(self, file: File, disposition: Disposition | None) -> str:
        query = f"?disposition={disposition}" if disposition is not None else ""
        return f"{self._base_url}/v1/files/{file.id}/content{query}"

    def _sign(
        self,
        signer: UrlSigner,
        file: File,
        name: str | None,
        disposition: Disposition | None,
        expires_at: datetime,
    ) -> str:
        path = (
            f"/v1/signed/files/{file.id}" + (f"/renditions/{name}" if name is not None else "") + "/content"
        )
        parameters = {"disposition": disposition} if disposition is not None else {}
        signed = signer.sign(path, parameters, expires_at=int(expires_at.timestamp()), epoch=file.url_epoch)
        return self._base_url + signed

    async def _load(
        self, file_id: UUID, rendition_name: str | None, caller: Caller | None
    ) -> tuple[File | None, Rendition | None]:
        parameters = {"file_id": file_id, "for_admin": caller is not None and caller.is_admin}

        def load(session: Session) -> tuple[File | None, Rendition | None]:
            file = session.scalars(queries.SERVED_FILE, parameters).one_or_none()
            # No rendition has a NUL in its name, and PostgreSQL takes none in a parameter.
            if file is None or rendition_name is None or "\0" in rendition_name:
                return file, None
            return file, session.scalars(queries.rendition_by_name(file_id, rendition_name)).one_or_none()

        return await self._database.run_read(load)

    def _made(self, file: File, rendition: Rendition | None, name: str) -> Rendition:
        """The rendition, or an error that says whether waiting helps."""
        if rendition is not None:
            return rendition
        if name in self._preset_names and file.status in {FileStatus.PROCESSING, FileStatus.FAILED}:
            reason = {"code": file.status_code, "detail": file.status_detail} if file.status_code else None
            raise MediaServiceError(
                ErrorKind.NOT_FOUND,
                "rendition-not-ready",
                f"The rendition '{name}' is not there: the file is {file.status}.",
                # Not `status`: that member is the status of HTTP (RFC 9457 §3.1.2).
                file_status=file.status.value,
                status_reason=reason,
            )
        raise MediaServiceError(
            ErrorKind.NOT_FOUND, "rendition-not-found", f"The file has no rendition '{name}'."
        )


def _readable(file: File | None, caller: Caller | None) -> File:
    """Without credentials the answer is 401 whether or not the file exists."""
    if file is None or not may_read(file, caller):
        if caller is None:
            raise missing_credentials()
        if file is not None and caller.may_see(file.owner_id):
            raise MediaServiceError(
                ErrorKind.FORBIDDEN,
                "missing-scope",
                f"This credential lacks the scope '{Scope.FILES_READ}'.",
                scope=Scope.FILES_READ.value,
            )
        raise file_not_found()
    check_downloadable(file)
    return file


def _signable(file: File | None, caller: Caller) -> File:
    """A public file may be read by all, but given away by its owner alone, who may hide it again."""
    if file is None or not may_sign(file, caller):
        raise file_not_found()
    check_downloadable(file)
    return file


def _presigned(presigner: PresignsDownloads, found: Representation, expires_in: timedelta) -> str:
    return presigner.presign_download(
        found.key,
        expires_in=expires_in,
        content_type=found.content_type,
        content_disposition=found.content_disposition,
    )


def _cache_of(file: File) -> str:
    return PUBLIC_CACHE if file.visibility is Visibility.PUBLIC else PRIVATE


def _original(file: File, disposition: Disposition | None, cache_control: str) -> Representation:
    # The bytes of an id never change, so the id is as strong a tag as their digest.
    etag = f'"{file.sha256 or file.id}"'
    return Representation(
        key=file.key,
        size_bytes=file.size_bytes,
        content_type=file.content_type,
        content_disposition=content_disposition(
            file.filename, content_type=file.content_type, wanted=disposition
        ),
        cache_control=cache_control,
        validators=Validators(etag, file.created_at),
    )


def _rendition(
    file: File, rendition: Rendition, disposition: Disposition | None, cache_control: str
) -> Representation:
    extension = rendition.content_type.split("/")[1].replace("jpeg", "jpg")
    stem = file.filename.rpartition(".")[0] or file.filename
    return Representation(
        key=rendition.key,
        size_bytes=rendition.size_bytes,
        content_type=rendition.content_type,
        content_disposition=content_disposition(
            f"{stem}-{rendition.name}.{extension}", content_type=rendition.content_type, wanted=disposition
        ),
        cache_control=cache_control,
        validators=Validators(f'"{rendition.sha256}"', rendition.created_at),
    )
