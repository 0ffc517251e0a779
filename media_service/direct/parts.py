"""Takes parts that clients send by URLs of ours, where they cannot send them to the storage. API room."""

import hashlib
import time
from collections.abc import AsyncIterable, Iterable
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from media_service.auth.keyring import Keyring
from media_service.auth.signing import UrlSigner, single_valued
from media_service.database import Database
from media_service.direct import queries
from media_service.direct.models import DirectPart
from media_service.direct.uploads import DirectUploadFinder, OpenDirectUpload, upload_not_found
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.storage.upload_memory import GrowingPart, UploadMemory
from media_service.uploads.grants import narrowed
from media_service.uploads.policy import UploadPolicy

ETAG_CHARACTERS = 32
"""Of a SHA-256: as long as the MD5 that S3's clients know, and no weaker."""


class PartReceiver:
    """Streams one part into the storage, a piece at a time; memory holds one piece of each."""

    def __init__(
        self,
        *,
        database: Database,
        storage: AsyncStorage,
        finder: DirectUploadFinder,
        keyring: Keyring,
        memory: UploadMemory,
        policy: UploadPolicy,
    ) -> None:
        self._database = database
        self._storage = storage
        self._finder = finder
        self._keyring = keyring
        self._memory = memory
        self._policy = policy

    async def signed(
        self, upload_id: UUID, *, method: str, path: str, query: Iterable[tuple[str, str]]
    ) -> OpenDirectUpload | None:
        """The upload that a signed URL names; None if it is not there any more, such as a file already.

        Raises MediaServiceError (403, 410).
        """
        given = single_valued(query)
        signer = UrlSigner(await self._keyring.keys(given.get("kid")))
        signer.verify(path, given, epoch=0, now=time.time(), method=method)
        upload = await self._finder.find(upload_id)
        return upload if upload is not None and not upload.row.is_presigned else None

    async def receive(
        self,
        upload: OpenDirectUpload,
        number: int,
        chunks: AsyncIterable[bytes | memoryview],
        *,
        declared_bytes: int | None = None,
    ) -> str:
        """Store a part, in place of an earlier one of this number, and return its ETag.

        Raises MediaServiceError for a part that the upload does not have, of a wrong length, or too large.
        """
        lengths = _Lengths(upload, number, narrowed(self._policy, upload.owner.upload_token))
        lengths.check_declared(declared_bytes)
        try:
            part = await self._store(upload, number, chunks, lengths)
        except ObjectNotFoundError:
            raise upload_not_found() from None  # completed or aborted meanwhile
        await self._note(part)
        return part.etag

    async def _store(
        self,
        upload: OpenDirectUpload,
        number: int,
        chunks: AsyncIterable[bytes | memoryview],
        lengths: "_Lengths",
    ) -> DirectPart:
        row, digest = upload.row, hashlib.sha256()
        pieces = _Pieces(self._storage, self._memory, upload, number, digest)
        size_bytes = 0
        try:
            async for chunk in chunks:
                size_bytes += len(chunk)
                lengths.check_so_far(size_bytes)
                await pieces.write(chunk)
            lengths.check_whole(size_bytes)
            await pieces.finish()
        finally:
            pieces.release()
        return DirectPart(
            session_id=row.session_id,
            number=number,
            size_bytes=size_bytes,
            etag=digest.hexdigest()[:ETAG_CHARACTERS],
            piece_etags=pieces.etags,
        )

    async def _note(self, part: DirectPart) -> None:
        try:
            async with self._database.transaction() as session:
                await session.execute(queries.delete_part(part.session_id, part.number))
                session.add(part)
        except IntegrityError:
            raise upload_not_found() from None  # its session went while the bytes came


class _Lengths:
    """What may come as a part."""

    def __init__(self, upload: OpenDirectUpload, number: int, policy: UploadPolicy) -> None:
        plan = upload.plan
        if not 1 <= number <= plan.count:
            raise MediaServiceError(
                ErrorKind.INVALID,
                "no-such-part",
                f"The parts of this upload are numbered from 1 to {plan.count}.",
                part_count=plan.count,
            )
        self._expected_bytes = plan.length_of(number)
        self._max_bytes = plan.part_size_bytes if self._expected_bytes is None else self._expected_bytes
        self._before_bytes = (number - 1) * plan.part_size_bytes
        self._policy = policy

    def check_declared(self, size_bytes: int | None) -> None:
        if size_bytes is not None:
            self.check_so_far(size_bytes)
            self.check_whole(size_bytes)

    def check_so_far(self, size_bytes: int) -> None:
        self._policy.check_size(self._before_bytes + size_bytes)
        if size_bytes > self._max_bytes:
            raise MediaServiceError(
                ErrorKind.TOO_LARGE,
                "part-too-large",
                f"This part has at most {self._max_bytes} bytes.",
                limit_bytes=self._max_bytes,
            )

    def check_whole(self, size_bytes: int) -> None:
        if self._expected_bytes not in {None, size_bytes}:
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE,
                "size-mismatch",
                f"This part has {self._expected_bytes} bytes, as announced; {size_bytes} came.",
                expected_bytes=self._expected_bytes,
                actual_bytes=size_bytes,
            )


class _Pieces:
    """Gathers a stream into pieces of the storage's size and stores each when it is full."""

    def __init__(
        self,
        storage: AsyncStorage,
        memory: UploadMemory,
        upload: OpenDirectUpload,
        number: int,
        digest: "hashlib._Hash",
    ) -> None:
        self._storage = storage
        self._memory = memory
        self._upload = upload
        self._piece_bytes = upload.row.piece_size_bytes
        self._first = (number - 1) * (upload.row.part_size_bytes // self._piece_bytes) + 1
        self._digest = digest
        self._piece = GrowingPart(memory, digest)
        self.etags: list[str] = []

    async def write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            taken = rest[: self._piece_bytes - self._piece.size_bytes]
            if not self._piece.take(taken):
                await self._spill(taken)
            rest = rest[len(taken) :]
            if self._piece.size_bytes == self._piece_bytes:
                await self._send()

    async def finish(self) -> None:
        if self._piece.size_bytes:
            await self._send()

    def release(self) -> None:
        self._piece.release()

    async def _spill(self, data: memoryview) -> None:
        piece = self._piece
        await self._storage.run(lambda: piece.spill(data))
        piece.spilled(len(data))

    async def _send(self) -> None:
        piece, row = self._piece, self._upload.row
        unhashed = piece.unhashed
        await self._storage.run(lambda: self._digest.update(unhashed))
        receipt = await self._storage.put_part(
            row.key,
            self._upload.storage_upload_id,
            self._first + len(self.etags),
            piece.reader(),
            size_bytes=piece.size_bytes,
        )
        self.etags.append(receipt.etag)
        piece.release()
        self._piece = GrowingPart(self._memory, self._digest)
