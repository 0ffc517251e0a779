"""One file from its first byte to a durable object. API room."""

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.names import clean_name
from media_service.models import new_id
from media_service.uploads.destinations import Announced, Destination, Writer
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.sniffing import HEAD_BYTES, sniff


class FileReceiver:
    """Sniffs, limits, hashes and stores a stream of bytes. `finish` or `abort` ends it."""

    def __init__(self, announced: Announced, *, policy: UploadPolicy, destination: Destination) -> None:
        self.id = new_id()
        self._announced = announced
        self._policy = policy
        self._destination = destination
        self._head = bytearray()
        self._size_bytes = 0
        self._content_type = ""
        self._writer: Writer | None = None
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
            await self._begin_to_write()

    async def finish(self) -> ReceivedFile:
        """Make the file durable. Raises MediaServiceError; then only `abort` may follow."""
        writer = self._writer or await self._begin_to_write()
        blob = await writer.finish()
        if self._announced.sha256 not in {None, blob.sha256}:
            raise MediaServiceError(
                ErrorKind.UNPROCESSABLE,
                "digest-mismatch",
                "The bytes that arrived do not have the SHA-256 that was sent with them.",
                actual_sha256=blob.sha256,
            )
        self._destination.keep_until_commit(self.id, self._announced)
        filename = clean_name(self._announced.filename)
        return ReceivedFile(self.id, filename, self._content_type, blob.size_bytes, blob.sha256)

    async def abort(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            await self._writer.abort()

    async def _begin_to_write(self) -> Writer:
        head, self._head = bytes(self._head), bytearray()
        self._content_type = sniff(head[:HEAD_BYTES])
        self._policy.check_type(self._content_type)
        self._writer = self._destination.open_writer(
            self.id, self._announced, content_type=self._content_type
        )
        await self._writer.write(head)
        return self._writer
