"""Receives uploads: bytes first, then one short transaction that makes files of them. API room."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.models import File
from media_service.files.queries import described_files
from media_service.files.schemas import FileFields
from media_service.idempotency.service import IdempotencyKeys, Record, check_same
from media_service.quotas.allowance import Allowance
from media_service.quotas.turns import OwnerTurns
from media_service.storage.aio import AsyncStorage
from media_service.uploads.batch import Batch
from media_service.uploads.destinations import Announced, Destination, Nowhere
from media_service.uploads.fields import FieldCollector, query_fields
from media_service.uploads.finalizer import Complete, Finalizer, StoredFiles
from media_service.uploads.fingerprint import upload_fingerprint
from media_service.uploads.form import Field, FileBegin, FileData, FileEnd, closing_size, read_form
from media_service.uploads.grants import narrowed
from media_service.uploads.headers import announced_sha256, declared_length, disposition_filename
from media_service.uploads.limits import MAX_ENVELOPE_BYTES
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.reservation import BatchReservation
from media_service.uploads.schemas import RawUploadQuery

log = structlog.get_logger(__name__)


ReadInto = Callable[[Batch], Awaitable[FileFields]]
"""Reads a request's files into a batch, and returns what it says of them."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as all protocols of this module have it."""

    protocol: str
    read: ReadInto
    least_bytes: int
    """Its files are no smaller together, by what it declares."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request that may be sent again under its key."""

    key: str
    query: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What a router hands over: headers by their names in lower case, and the body as it comes."""

    headers: Mapping[str, str]
    chunks: AsyncIterable[bytes]
    repeatable: Repeatable | None = None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The files of a request; `is_replay` if an earlier one made them."""

    files: list[File]
    is_replay: bool = False


class UploadService:
    """One request's files, as a whole: all of them become files, or nothing stays."""

    def __init__(
        self,
        *,
        database: Database,
        storage: AsyncStorage,
        policy: UploadPolicy,
        destination: Destination,
        keys: IdempotencyKeys,
        finalizer: Finalizer,
        turns: OwnerTurns,
    ) -> None:
        self._database = database
        self._storage = storage
        self._policy = policy
        self._destination = destination
        self._keys = keys
        self._finalizer = finalizer
        self._turns = turns

    async def receive_form(self, caller: Caller, request: UploadRequest) -> Uploaded:
        """Store the files of a multipart/form-data body. Raises MediaServiceError for any refusal."""
        content_type = request.headers["content-type"]
        declared_bytes = declared_length(request.headers.get("content-length"))
        narrowed(self._policy, caller.upload_token).check_form_size(declared_bytes or 0)

        async def read(batch: Batch) -> FileFields:
            chunks = _counted(request.chunks, batch, declared_bytes, closing_bytes=closing_size(content_type))
            return await _read_form_into(batch, caller, content_type, chunks)

        incoming = Incoming("form", read, least_bytes=max((declared_bytes or 0) - MAX_ENVELOPE_BYTES, 0))
        return await self._receive_once(caller, incoming, request.repeatable)

    async def receive_raw(self, caller: Caller, request: UploadRequest, query: RawUploadQuery) -> Uploaded:
        """Store a body that is one file. Raises MediaServiceError for any refusal."""
        headers, fields = request.headers, query_fields(query)
        announced = Announced(
            caller.owner_id,
            "raw",
            query.filename or disposition_filename(headers.get("content-disposition")) or "",
            sha256=announced_sha256(headers.get("repr-digest"), headers.get("content-digest")),
            length_bytes=declared_length(headers.get("content-length")),
        )

        async def read(batch: Batch) -> FileFields:
            batch.begin(announced)
            async for chunk in _counted(request.chunks, batch, announced.length_bytes):
                await batch.write(chunk)
            await batch.end()
            return fields

        incoming = Incoming("raw", read, least_bytes=announced.length_bytes or 0)
        return await self._receive_once(caller, incoming, request.repeatable)

    async def _receive_once(
        self, caller: Caller, incoming: Incoming, repeatable: Repeatable | None
    ) -> Uploaded:
        """Store what comes in; or, if the request was done before under its key, give what it made then."""
        if repeatable is None:
            return Uploaded(await self._receive(caller, incoming, complete=None))
        token_id = caller.upload_token.id if caller.upload_token is not None else None

        def fingerprint(batch: StoredFiles, fields: FileFields) -> str:
            return upload_fingerprint(incoming.protocol, repeatable.query, fields, batch.received)

        async with self._keys.claim(caller.owner_id, repeatable.key, only_for=token_id) as claim:
            if claim.record is None:

                def complete(session: Session, batch: StoredFiles, fields: FileFields) -> None:
                    ids = [received.id for received in batch.received]
                    claim.complete(session, fingerprint=fingerprint(batch, fields), made_ids=ids)

                return Uploaded(await self._receive(caller, incoming, complete))
            # A token that was used up by the first request is good for its repetition.
            policy = replace(narrowed(self._policy, caller.upload_token), max_files=None)
            async with Batch(Nowhere(self._storage), policy) as batch:
                fields = await incoming.read(batch)
            check_same(claim.record, fingerprint(batch, fields))
            return Uploaded(await self._made_before(claim.record), is_replay=True)

    async def _made_before(self, record: Record) -> list[File]:
        """The files of an earlier request, as they are now. Raises MediaServiceError (gone)."""
        async with self._database.read() as session:
            found = {file.id: file for file in await session.scalars(described_files(record.made_ids))}
        if len(found) < len(record.made_ids):
            raise MediaServiceError(
                ErrorKind.GONE,
                "idempotent-file-deleted",
                "This request was done before, and what it made was deleted since. To upload again, use a "
                "new Idempotency-Key.",
            )
        return [found[file_id] for file_id in record.made_ids]

    async def _receive(self, caller: Caller, incoming: Incoming, complete: Complete | None) -> list[File]:
        policy = narrowed(self._policy, caller.upload_token)
        policy.check_count(1)  # before the first byte of the body
        reservation = None
        if caller.account.has_quota:
            Allowance.of_account(caller.account).check(size_bytes=incoming.least_bytes, files=1)
            reservation = BatchReservation(
                self._database, self._turns, caller.owner_id, least_bytes=incoming.least_bytes
            )
        async with Batch(self._destination, policy, reservation=reservation) as batch:
            fields = await incoming.read(batch)
        return await self._finalizer.finalize(caller, batch, fields, complete)


async def _counted(
    chunks: AsyncIterable[bytes], batch: Batch, declared_bytes: int | None, *, closing_bytes: int = 0
) -> AsyncIterator[bytes]:
    """Tell the batch before each chunk how many bytes of files may still come, if the request said it."""
    read_bytes = 0
    async for chunk in chunks:
        if declared_bytes is not None:
            batch.expect_at_most(max(declared_bytes - read_bytes - closing_bytes, 0))
        read_bytes += len(chunk)
        yield chunk


async def _read_form_into(
    batch: Batch, caller: Caller, content_type: str, chunks: AsyncIterable[bytes]
) -> FileFields:
    fields = FieldCollector()
    async for event in read_form(content_type, chunks):
        match event:
            case FileBegin(filename=filename):
                batch.begin(Announced(caller.owner_id, "form", filename, sha256=fields.take_sha256()))
            case FileData(data=data):
                await batch.write(data)
            case FileEnd():
                await batch.end()
            case Field():
                fields.add(event)
    if not batch.received:
        raise MediaServiceError(
            ErrorKind.INVALID, "no-file", "The form has no file. With curl: -F file=@photo.jpg"
        )
    return fields.file_fields()
