"""Makes a file of a direct upload, after a look of our own at what came. API room."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.database import Database
from media_service.direct.plans import PartPlan
from media_service.direct.receipts import keep_receipt, receipt
from media_service.direct.transports import ArrivedPart, PartTransport
from media_service.direct.uploads import DirectUploadFinder, OpenDirectUpload, upload_not_found
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.files.models import File
from media_service.files.queries import described_files
from media_service.files.schemas import FileFields
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.uploads import queries
from media_service.uploads.claims import cover
from media_service.uploads.finalizer import Finalizer, StoredFiles
from media_service.uploads.grants import narrowed
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.sniffing import HEAD_BYTES, UNKNOWN, sniff

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MAX_NAMED_PARTS = 100
"""Of missing parts that an error names."""

_AS_IF_LATE = frozenset({ErrorKind.NOT_FOUND, ErrorKind.CONFLICT, ErrorKind.GONE})
"""What a completion may meet that another one has overtaken."""


class DirectCompletion:
    """Completes an upload once, however often and by however many it is asked.

    The storage makes the object of its parts atomically, and no part can be sent after that; the row of the
    session goes in the transaction that makes the file. Whoever comes second finds the file.
    """

    def __init__(
        self,
        *,
        database: Database,
        storage: AsyncStorage,
        finder: DirectUploadFinder,
        transports: Mapping[bool, PartTransport],
        policy: UploadPolicy,
        finalizer: Finalizer,
        receipt_retention: timedelta,
    ) -> None:
        self._database = database
        self._storage = storage
        self._finder = finder
        self._transports = transports
        self._policy = policy
        self._finalizer = finalizer
        self._receipt_retention = receipt_retention

    async def complete(self, upload_id: UUID, caller: Caller, etags: Mapping[int, str] | None = None) -> File:
        """The file, with its renditions; `etags` are the parts as the client knows them, by number.

        Raises MediaServiceError: not found, gone, conflict (parts missing or others than the client sent),
        unprocessable (another size than announced), too large, unsupported type.
        """
        upload = await self._finder.find_of_caller(upload_id, caller)
        failure: Exception = upload_not_found()
        if upload is not None:
            try:
                await self._make_file(upload, caller, etags)
            except (MediaServiceError, IntegrityError) as error:
                failure = error
                # Another completion may have been quicker: then parts or session were gone for this one.
                if isinstance(error, MediaServiceError) and error.kind not in _AS_IF_LATE:
                    raise
        file = await self._find_file(upload_id, caller)
        if file is None:
            raise failure
        return file

    async def completed(self, upload_id: UUID) -> File | None:
        """The file that an upload has become, whoever asks."""
        async with self._database.read() as session:
            return (await session.scalars(described_files([upload_id]))).one_or_none()

    async def _make_file(
        self, upload: OpenDirectUpload, caller: Caller, etags: Mapping[int, str] | None
    ) -> None:
        policy = narrowed(self._policy, caller.upload_token)
        size_bytes = await self._make_object(upload, policy, etags)
        reach("direct.object")
        stored = _StoredUpload(upload, self._database, self._storage)
        stored.received = [await self._looked_at(upload, size_bytes, policy, stored)]
        fields = FileFields.model_validate(upload.row.fields)

        def end(session: Session, _: StoredFiles, __: FileFields) -> None:
            stored.end_session(session)
            keep_receipt(session, caller, upload.id, retention=self._receipt_retention)

        await self._finalizer.finalize(caller, stored, fields, end)

    async def _find_file(self, upload_id: UUID, caller: Caller) -> File | None:
        if caller.upload_token is not None:
            kept = receipt(caller.owner_id, token_id=caller.upload_token.id, upload_id=upload_id)
            async with self._database.read() as session:
                if (await session.scalars(kept)).first() is None:
                    return None
        file = await self.completed(upload_id)
        return file if file is not None and file.owner_id == caller.owner_id else None

    async def _make_object(
        self, upload: OpenDirectUpload, policy: UploadPolicy, etags: Mapping[int, str] | None
    ) -> int:
        """Let the storage make one object; returns its size."""
        row = upload.row
        if row.size_bytes == 0:
            return await self._make_empty_object(upload)
        try:
            transport = self._transports[row.is_presigned]
            parts = await transport.arrived(row, upload.storage_upload_id)
            size_bytes = _check_parts(upload.plan, parts, etags)
            if size_bytes == 0:
                return await self._make_empty_object(upload)
            policy.check_size(size_bytes)
            if row.size_bytes is None:
                await self._reserve(upload, size_bytes)
            receipts = [receipt for part in parts for receipt in part.receipts]
            await self._storage.complete_upload(row.key, upload.storage_upload_id, receipts)
        except ObjectNotFoundError:
            return await self._size_of_object(upload)
        return size_bytes

    async def _reserve(self, upload: OpenDirectUpload, size_bytes: int) -> None:
        """Where the size is known only now, refuse what the quota has no room for before it is an object."""
        owner_id = upload.owner.owner_id
        is_there = await self._database.run_transaction(
            lambda session: cover(session, upload.id, owner_id=owner_id, size_bytes=size_bytes)
        )
        if not is_there:
            raise upload_not_found()

    async def _make_empty_object(self, upload: OpenDirectUpload) -> int:
        """Not every store makes an object of an upload without a byte."""
        await self._storage.put(upload.row.key, lambda: b"", content_type=UNKNOWN, size_bytes=0)
        await self._storage.abort_upload(upload.row.key, upload.storage_upload_id)
        return 0

    async def _size_of_object(self, upload: OpenDirectUpload) -> int:
        """After another completion, or one whose answer was lost, the storage knows the object alone."""
        try:
            return (await self._storage.head(upload.row.key)).size_bytes
        except ObjectNotFoundError:
            raise MediaServiceError(
                ErrorKind.GONE, "upload-lost", "The storage has given up this upload; start a new one."
            ) from None

    async def _looked_at(
        self, upload: OpenDirectUpload, size_bytes: int, policy: UploadPolicy, stored: "_StoredUpload"
    ) -> ReceivedFile:
        """The file as it really is. A type that is not taken ends the upload."""
        try:
            content_type = sniff(await self._head(upload.row.key, size_bytes))
        except ObjectNotFoundError:
            raise upload_not_found() from None  # another completion has refused it, or it was aborted
        try:
            policy.check_type(content_type)
        except MediaServiceError:
            await stored.discard()
            raise
        return ReceivedFile(
            upload.id,
            upload.row.filename,
            content_type,
            size_bytes,
            sha256=EMPTY_SHA256 if size_bytes == 0 else None,
            announced_sha256=upload.row.sha256,
        )

    async def _head(self, key: str, size_bytes: int) -> bytes:
        reader = await self._storage.open(key, size_bytes=min(size_bytes, HEAD_BYTES))
        try:
            return b"".join([chunk async for chunk in reader.chunks()])
        finally:
            await reader.close()


class _StoredUpload:
    """The object of an upload that no file describes yet. Its session's row says so, to everybody."""

    def __init__(self, upload: OpenDirectUpload, database: Database, storage: AsyncStorage) -> None:
        self.received: list[ReceivedFile] = []
        self._upload = upload
        self._database = database
        self._storage = storage

    def end_session(self, session: Session) -> None:
        """In the transaction that makes the file. Raises MediaServiceError (not found) if it is gone."""
        if session.scalars(queries.delete_sessions([self._upload.id])).one_or_none() is None:
            raise upload_not_found()

    async def discard(self) -> None:
        """Remove session and bytes, unless a file has taken both."""
        async with self._database.transaction() as session:
            taken = (await session.scalars(queries.delete_sessions([self._upload.id]))).one_or_none()
        if taken is not None:
            await self._storage.delete([self._upload.row.key])


def _check_parts(plan: PartPlan, parts: Sequence[ArrivedPart], etags: Mapping[int, str] | None) -> int:
    """The size of the object that these parts make. Raises MediaServiceError; the upload goes on."""
    numbers = {part.number for part in parts}
    count = max(numbers, default=1) if plan.size_bytes is None else plan.count
    wanted = set(range(1, count + 1)) | set(etags or ())
    if missing := sorted(wanted - numbers):
        raise _mismatch("Some parts have not come; send them.", missing_parts=missing[:MAX_NAMED_PARTS])
    known = {part.number: _bare(part.etag) for part in parts}
    if wrong := sorted(number for number, etag in (etags or {}).items() if known[number] != _bare(etag)):
        raise _mismatch(
            "Some parts are others than those that you name; send them again.",
            wrong_parts=wrong[:MAX_NAMED_PARTS],
        )
    size_bytes = sum(part.size_bytes for part in parts)
    full_bytes = parts[0].size_bytes if plan.size_bytes is None else plan.part_size_bytes
    if plan.size_bytes not in {None, size_bytes}:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE,
            "size-mismatch",
            f"{size_bytes} bytes came, {plan.size_bytes} were announced. Send it again, or start anew.",
            expected_bytes=plan.size_bytes,
            actual_bytes=size_bytes,
        )
    if any(part.size_bytes != full_bytes for part in parts[:-1]):
        raise _mismatch("All parts but the last have one size.", part_size=full_bytes)
    return size_bytes


def _bare(etag: str) -> str:
    """S3's clients send and omit the quotes as they like."""
    return etag.strip().strip('"')


def _mismatch(detail: str, **members: object) -> MediaServiceError:
    return MediaServiceError(ErrorKind.CONFLICT, "upload-parts-mismatch", detail, **members)
