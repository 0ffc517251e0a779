"""Makes one file of several partial uploads (tus 1.0, concatenation). API room.

The bytes are read from the storage and written again, as any upload's: sniffed, hashed, with bounded memory.
S3 could copy parts by itself only where all of them but the last have 5 MiB.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.schemas import FileFields
from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key
from media_service.uploads.batch import Batch
from media_service.uploads.destinations import Announced, Destination
from media_service.uploads.finalizer import Finalizer, StoredFiles
from media_service.uploads.grants import narrowed
from media_service.uploads.models import UploadSession
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.resumable import queries, reservations
from media_service.uploads.resumable.errors import bad_upload_header


class Joining:
    """Built once per process."""

    def __init__(
        self, *, storage: AsyncStorage, policy: UploadPolicy, destination: Destination, finalizer: Finalizer
    ) -> None:
        self._storage = storage
        self._policy = policy
        self._destination = destination
        self._finalizer = finalizer

    async def join(
        self, caller: Caller, pieces: Sequence[UploadSession], row: UploadSession, *, lifetime: timedelta
    ) -> None:
        """Store the whole and make a file of it; `row` becomes the session that remembers it.

        Raises MediaServiceError for a piece that is none, or is not whole, and for any refusal of the file.
        The pieces stay as they are.
        """
        size_bytes = sum(_whole_bytes(piece) for piece in pieces)
        policy = narrowed(self._policy, caller.upload_token)
        policy.check_size(size_bytes)
        announced = row.announced or {}
        fields = FileFields.model_validate(
            {name: announced[name] for name in ("visibility", "tags", "custom")}
        )
        async with Batch(self._destination, policy) as batch:
            batch.begin(
                Announced(caller.owner_id, "tus", announced["filename"] or "unnamed", length_bytes=size_bytes)
            )
            for piece in pieces:
                await self._copy(piece, batch)
            await batch.end()

        def remember(session: Session, finished: StoredFiles, _: FileFields) -> None:
            row.file_id = finished.received[0].id
            row.content_type = finished.received[0].content_type
            row.offset_bytes = row.length_bytes = size_bytes
            row.is_finished = True
            row.upload_token_id = caller.upload_token.id if caller.upload_token is not None else None
            session.execute(queries.insert_resumable(row, lifetime=lifetime))
            reservations.release_pieces(session, pieces)

        await self._finalizer.finalize(caller, batch, fields, remember)

    async def _copy(self, piece: UploadSession, batch: Batch) -> None:
        assert piece.file_id is not None  # noqa: S101 - given at creation
        reader = await self._storage.open(original_key(piece.file_id))
        try:
            async for chunk in reader.chunks():
                await batch.write(chunk)
        finally:
            await reader.close()


def _whole_bytes(piece: UploadSession) -> int:
    if not piece.is_partial:
        raise bad_upload_header("Upload-Concat", "names an upload that is not partial")
    if not piece.is_finished:
        raise MediaServiceError(
            ErrorKind.CONFLICT, "partial-upload-unfinished", "One of the partial uploads is not finished yet."
        )
    return piece.offset_bytes
