"""Takes the one form of an upload that Uppy sends at once, and makes a file of it. API room.

An S3 POST policy would take such a form, too. But S3 tells nobody when it came, and Uppy calls nobody after
it: the bytes would never become a file. So the form comes to this service, whatever the storage.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from uuid import UUID

from media_service.direct.completion import DirectCompletion
from media_service.direct.parts import PartReceiver
from media_service.direct.uploads import upload_not_found
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.models import File
from media_service.uploads.form import FileBegin, FileData, read_form


class FormReceiver:
    def __init__(self, receiver: PartReceiver, completion: DirectCompletion) -> None:
        self._receiver = receiver
        self._completion = completion

    async def receive(
        self,
        upload_id: UUID,
        *,
        path: str,
        query: Iterable[tuple[str, str]],
        content_type: str,
        chunks: AsyncIterable[bytes],
    ) -> File:
        """The file; the same one if the form comes again, because its answer was lost.

        Raises MediaServiceError: for the signature, for the form, and as a completion does.
        """
        upload = await self._receiver.signed(upload_id, method="POST", path=path, query=query)
        if upload is not None:
            await self._receiver.receive(upload, 1, _file_of(content_type, chunks))
            return await self._completion.complete(upload_id, upload.owner)
        file = await self._completion.completed(upload_id)
        if file is None:
            raise upload_not_found()
        async for _ in chunks:
            pass  # else the answer could get lost once more, among bytes that nobody reads
        return file


async def _file_of(content_type: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[memoryview]:
    """The bytes of the only file of a form. Raises MediaServiceError (invalid)."""
    files = 0
    async for event in read_form(content_type, chunks):
        match event:
            case FileBegin():
                files += 1
                if files > 1:
                    raise MediaServiceError(
                        ErrorKind.INVALID, "malformed-multipart", "This form takes one file."
                    )
            case FileData(data=data):
                yield data
    if files == 0:
        raise MediaServiceError(ErrorKind.INVALID, "no-file", "The form has no file.")
