"""Images on the fly: who may have one, is it stored, else wait for it; and URLs for them. API room."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.keyring import Keyring
from media_service.auth.scopes import Caller
from media_service.auth.signing import UrlSigner, single_valued
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files import queries as files
from media_service.files.access import check_downloadable, checked_owner, file_not_found
from media_service.files.lifecycle import Visibility
from media_service.files.models import File, Rendition
from media_service.transforms import queries
from media_service.transforms.access import check_may_render
from media_service.transforms.grammar import ImageBounds, parse_options
from media_service.transforms.image_spec import ImageFormat, ImageSpec
from media_service.transforms.models import Transform
from media_service.transforms.negotiation import in_shown_format
from media_service.transforms.signing import ImageSigner, is_signed
from media_service.transforms.single_flight import SingleFlight, raise_failure
from media_service.transforms.spec import PROCESSABLE_TYPES, Preset
from media_service.web.blob_response import Representation
from media_service.web.conditional import Validators
from media_service.web.disposition import content_disposition

PRIVATE_CACHE = "private, no-cache"
"""Kept by the client alone, and checked by ETag before each use."""
PUBLIC_CACHE = "public, max-age=300"
"""Presets of public files: the file may turn private, and the preset may be changed."""

CACHED_SPECS = 4096
"""Options that are remembered as they were read; some 500 bytes each."""

OPAQUE_TYPES = frozenset({"image/jpeg", "image/bmp"})
"""Have no transparency, known before the file was processed."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What a client asks for, and with what."""

    file_id: UUID
    options: str
    query: Sequence[tuple[str, str]]
    """`exp`, `kid` and `sig`, where the URL is signed."""
    accept: str | None


@dataclass(frozen=True, slots=True)
class ImageUrl:
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a signed URL came with, and what can verify it."""

    signer: ImageSigner
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one read of the database gave."""

    file: File
    spec: ImageSpec
    """In the format that this client gets."""
    cache_control: str
    stored: Transform | Rendition | None


class ImageService:
    """One read transaction for what is stored; single flight for what is not."""

    def __init__(
        self,
        *,
        database: Database,
        flight: SingleFlight,
        keyring: Keyring,
        base_url: str,
        bounds: ImageBounds,
        presets: Sequence[Preset],
        auto_formats: Sequence[ImageFormat],
    ) -> None:
        self._database = database
        self._flight = flight
        self._keyring = keyring
        self._base_url = base_url
        # The same few options come again and again, and reading them costs as much as the query.
        self._parse = lru_cache(CACHED_SPECS)(partial(parse_options, bounds=bounds, presets=presets))
        self._in_shown_format = lru_cache(CACHED_SPECS)(
            partial(in_shown_format, preferred=tuple(auto_formats))
        )
        self._recipes = {preset.name: preset.recipe for preset in presets}

    async def find(self, request: ImageRequest, caller: Caller | None) -> Representation:
        """The image, made if it must be.

        Raises MediaServiceError: 400 for options, 401, 403, 404, 410 for who asks, 422 for a file that is no
        image or cannot be read, 503 if it was not there in time.
        """
        started = time.perf_counter()
        spec = self._parse(request.options)
        signature = await self._signature(request.query)
        found = await self._database.run_read(
            lambda session: self._read(session, request, spec, caller, signature)
        )
        looked = time.perf_counter()
        stored = found.stored or await self._flight.get(found.file.id, found.spec)
        timing = _server_timing(
            lookup_seconds=looked - started,
            render_seconds=None if found.stored else time.perf_counter() - looked,
        )
        headers = {"Server-Timing": timing} | ({"Vary": "Accept"} if spec.format == "auto" else {})
        return replace(_representation(found, stored), more_headers=headers)

    async def forget(self, file_id: UUID, lost: Representation) -> None:
        """Drop a result whose bytes are lost, so that the next look makes it again."""
        digest, sha256 = lost.key.split("/")[2], lost.validators.etag.strip('"')
        await self._database.run_transaction(
            lambda session: session.execute(queries.forget(file_id, digest, sha256=sha256))
        )

    async def sign(self, file_id: UUID, caller: Caller, options: str, *, expires_in: timedelta) -> ImageUrl:
        """A URL for an image of a file of the caller's. Raises MediaServiceError (400, 404, 422)."""
        spec = self._parse(options)
        file = await self._database.run_read(
            lambda session: session.scalars(files.bare_file_by_id(file_id)).one_or_none()
        )
        _check_is_image(checked_owner(file, caller))
        assert file is not None  # noqa: S101 - `checked_owner` would have raised
        expires_at = datetime.now(UTC).replace(microsecond=0) + expires_in
        signer = await self._signer(None)
        return ImageUrl(signer.sign(file, spec, expires_at=int(expires_at.timestamp())), expires_at)

    async def _signature(self, query: Sequence[tuple[str, str]]) -> _Signature | None:
        """What shall let the request in, if it is a signature. Raises MediaServiceError (forbidden)."""
        if not is_signed(query):
            return None
        given = single_valued(query)
        return _Signature(await self._signer(given.get("kid")), given)

    async def _signer(self, kid: str | None) -> ImageSigner:
        return ImageSigner(UrlSigner(await self._keyring.keys(kid)), self._base_url)

    def _read(
        self,
        session: Session,
        request: ImageRequest,
        spec: ImageSpec,
        caller: Caller | None,
        signature: _Signature | None,
    ) -> _Found:
        is_admin = signature is None and caller is not None and caller.is_admin
        parameters = {"file_id": request.file_id, "for_admin": is_admin}
        row = session.scalars(files.SERVED_FILE, parameters).one_or_none()
        if signature is None:
            file, cache_control = _admitted(row, spec, caller)
        else:
            file, cache_control = _let_in(row, spec, request.file_id, signature)
        _check_is_image(file)
        accept = request.accept if spec.format == "auto" else None
        concrete = self._in_shown_format(spec, accept, may_have_alpha=_may_have_alpha(file))
        return _Found(file, concrete, cache_control, self._stored(session, file, concrete))

    def _stored(self, session: Session, file: File, spec: ImageSpec) -> Transform | Rendition | None:
        """The result, if there is one; a preset has usually been made when the file was uploaded."""
        if spec.preset is not None:
            made = session.scalars(files.rendition_by_name(file.id, spec.preset)).one_or_none()
            if made is not None and made.recipe == self._recipes[spec.preset]:
                return made
        row = session.scalars(queries.TRANSFORM, {"file_id": file.id, "digest": spec.digest}).one_or_none()
        if row is None or row.sha256 is not None:
            return row
        if row.error_code is not None:
            raise_failure(row, session.scalars(queries.NOW).one())
        return None


def _let_in(file: File | None, spec: ImageSpec, file_id: UUID, signature: _Signature) -> tuple[File, str]:
    """The file that a signature opens, and who may keep the answer for how long."""
    now = time.time()
    # Also for what is not there: only who was given a URL may learn that its file is gone.
    epoch = 0 if file is None else file.url_epoch
    expires_at = signature.signer.verify(file_id, spec, signature.query, epoch=epoch, now=now)
    if file is None:
        raise file_not_found()
    check_downloadable(file)
    # A cache must not serve it for longer than the service would.
    return file, f"public, max-age={int(expires_at - now)}, immutable"


def _admitted(file: File | None, spec: ImageSpec, caller: Caller | None) -> tuple[File, str]:
    """The same without a signature."""
    file = check_may_render(file, spec, caller)
    check_downloadable(file)
    is_open = file.visibility is Visibility.PUBLIC and spec.preset is not None
    return file, PUBLIC_CACHE if is_open else PRIVATE_CACHE


def _check_is_image(file: File) -> None:
    if file.content_type not in PROCESSABLE_TYPES:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE, "not-an-image", f"A file of the type {file.content_type} is no image."
        )


def _may_have_alpha(file: File) -> bool:
    return bool(file.media.get("has_alpha", file.content_type not in OPAQUE_TYPES))


def _representation(found: _Found, stored: Transform | Rendition) -> Representation:
    """Both kinds of rows describe an object in the same words."""
    content_type, key = stored.content_type, stored.key
    assert content_type is not None  # noqa: S101 - what is stored has all of them
    assert key is not None  # noqa: S101
    assert stored.size_bytes is not None  # noqa: S101
    made_at = stored.made_at if isinstance(stored, Transform) else stored.created_at
    stem = found.file.filename.rpartition(".")[0] or found.file.filename
    extension = content_type.split("/")[1].replace("jpeg", "jpg")
    return Representation(
        key=key,
        size_bytes=stored.size_bytes,
        content_type=content_type,
        content_disposition=content_disposition(
            f"{stem}.{extension}", content_type=content_type, wanted=None
        ),
        cache_control=found.cache_control,
        validators=Validators(f'"{stored.sha256}"', made_at or found.file.created_at),
    )


def _server_timing(*, lookup_seconds: float, render_seconds: float | None) -> str:
    """For who looks at the network panel of a browser (W3C Server Timing)."""
    lookup = f"lookup;dur={lookup_seconds * 1000:.1f}"
    if render_seconds is None:
        return f"cache;desc=hit, {lookup}"
    return f"cache;desc=miss, {lookup}, render;dur={render_seconds * 1000:.1f}"
