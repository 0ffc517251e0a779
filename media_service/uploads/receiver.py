"""One file from its first byte to a durable object. API room."""

from dataclasses import dataclass
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.names import clean_name
from media_service.models import new_id
from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key
from media_service.storage.limits import part_size_for
from media_service.storage.part_writer import PartWriter
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.sessions import SessionHook, UploadSessions
from media_service.uploads.sniffing import HEAD_BYTES, sniff


@dataclass(frozen=True, slots=True)
class Announced:
    """What a client says of a file before its bytes."""

    owner_id: UUID
    protocol: str
    filename: str
    sha256: str | None = None
    """Hex; checked against the bytes."""
    length_bytes: int | None = None
    """Only a hint for the size of parts; the bytes are counted."""


class FileReceiver:
    """Sniffs, limits, hashes and stores a stream of bytes. `finish` or `abort` ends it."""

    def __init__(
        self, announced: Announced, *, storage: AsyncStorage, policy: UploadPolicy, sessions: UploadSessions
    ) -> None:
        self.id = new_id()
        self._announced = announced
        self._storage = storage
        self._policy = policy
        self._sessions = sessions
        self._head = bytearray()
        self._size_bytes = 0
        self._content_type = ""
        self._writer: PartWriter | None = None
        if announced.length_bytes is not None:
            policy.check_size(announced.length_bytes)

    async def write(self, data: bytes | memoryview) -> None:
        """Take bytes; waits while the storage is behind. Raises MediaServiceError for a refusal."""
        self._size_bytes += len(data)
        self._policy.check_size(self._size_bytes)
        if self._writer is not None:
            await self._writer.write(data)
            return
        self._head += data
        if len(self._head) >= HEAD_BYTES:
            await self._open_writer()

    async def finish(self) -> ReceivedFile:
        """Make the file durable. Raises MediaServiceError; then only `abort` may follow."""
        writer = self._writer or await self._open_writer()
        blob = await writer.finish()
        if self._announced.sha256 not in {None, blob.sha256}:
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE,
                "digest-mismatch",
                "The bytes that arrived do not have the SHA-256 that was sent with them.",
                actual_sha256=blob.sha256,
            )
        filename = clean_name(self._announced.filename)
        return ReceivedFile(self.id, filename, self._content_type, blob.size_bytes, blob.sha256)

    def wait_for_commit(self) -> None:
        """Keep the finished file safe from the sweeper until it is committed or discarded."""
        self._sessions.wait_for_commit(
            self.id, owner_id=self._announced.owner_id, protocol=self._announced.protocol
        )

    async def abort(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            await self._writer.abort()
        await self._sessions.discard([self.id])

    async def _open_writer(self) -> PartWriter:
        head, self._head = bytes(self._head), bytearray()
        self._content_type = sniff(head[:HEAD_BYTES])
        self._policy.check_type(self._content_type)
        length_bytes = self._announced.length_bytes or self._policy.max_file_size_bytes
        self._writer = PartWriter(
            self._storage,
            original_key(self.id),
            content_type=self._content_type,
            part_size_bytes=part_size_for(self._storage.part_limits, length_bytes=length_bytes),
            hook=SessionHook(
                self._sessions,
                self.id,
                owner_id=self._announced.owner_id,
                protocol=self._announced.protocol,
            ),
        )
        await self._writer.write(head)
        return self._writer
