"""The end of a resumable upload: one object, and one transaction that makes a file of it. API room."""

from dataclasses import replace

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.files.names import clean_name
from media_service.files.schemas import FileFields
from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key
from media_service.uploads.batch import Batch
from media_service.uploads.finalizer import Finalizer, StoredFiles
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.resumable.ledger import Ledger
from media_service.uploads.resumable.reservations import RELEASED


class FinishedBatch(Batch):
    """The one file of a session, for the finalizer.

    Its bytes stay, whatever becomes of the transaction: they are the session's, and whoever asks next
    finishes it.
    """

    def __init__(self, received: ReceivedFile) -> None:
        self.received = [received]

    async def discard(self) -> None:
        """The session goes on."""


class Completion:
    """Built once per process."""

    def __init__(self, *, storage: AsyncStorage, finalizer: Finalizer) -> None:
        self._storage = storage
        self._finalizer = finalizer

    async def join(self, ledger: Ledger) -> None:
        """Make one object of a sealed session's parts; again, if nobody knows whether it was done."""
        row = ledger.row
        assert row.file_id is not None  # noqa: S101 - given at creation
        assert row.storage_upload_id is not None  # noqa: S101 - a sealed session has parts
        await self._storage.complete_upload(
            original_key(row.file_id), row.storage_upload_id, await ledger.read_parts()
        )

    async def commit(
        self, ledger: Ledger, caller: Caller, *, content_type: str, length_bytes: int, sha256: str | None
    ) -> None:
        """Make a file of a session's object; a partial upload has become whole with it."""
        row, old_tail = ledger.row, ledger.row.tail_key
        finished = {
            "content_type": content_type,
            "offset_bytes": length_bytes,
            "length_bytes": length_bytes,
            "tail_key": None,
            "storage_upload_id": None,
            "is_finished": True,
        }
        if row.is_partial:
            await ledger.set(**finished)
        else:
            assert row.file_id is not None  # noqa: S101 - given at creation
            assert row.announced is not None  # noqa: S101 - given at creation
            received = ReceivedFile(
                row.file_id, clean_name(row.announced["filename"]), content_type, length_bytes, sha256
            )

            def finish(session: Session, _: StoredFiles, __: FileFields) -> None:
                ledger.change(session, {**finished, **RELEASED}, ())

            fields = FileFields.model_validate(
                {name: row.announced[name] for name in ("visibility", "tags", "custom")}
            )
            await self._finalizer.finalize(
                replace(caller, owner_id=row.owner_id), FinishedBatch(received), fields, finish
            )
        await ledger.drop_object(old_tail)
