"""The files of one request: all of them are stored, or nothing stays. API room."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from media_service.exceptions import MediaServiceError
from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key
from media_service.uploads.receiver import Announced, FileReceiver
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.sessions import UploadSessions

log = structlog.get_logger(__name__)

CLEAN_UP_SECONDS = 5
"""For leaving nothing behind after a refusal; what is not done by then is the sweeper's."""


class Batch:
    """Receives files one after the other. Leaving the block by an exception discards all of them."""

    def __init__(
        self,
        make_receiver: Callable[[Announced], FileReceiver],
        *,
        storage: AsyncStorage,
        sessions: UploadSessions,
    ) -> None:
        self.received: list[ReceivedFile] = []
        self._make_receiver = make_receiver
        self._storage = storage
        self._sessions = sessions
        self._current: FileReceiver | None = None
        self._is_blank = False
        self._begun: list[UUID] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await asyncio.shield(self._discard_in_time())

    def begin(self, announced: Announced) -> None:
        # A browser sends a file input that was left empty as a part without name and bytes.
        self._is_blank = announced.filename == "" and announced.protocol == "form"
        self._current = self._make_receiver(announced)
        self._begun.append(self._current.id)

    async def write(self, data: bytes | memoryview) -> None:
        if self._current is not None and data:
            self._is_blank = False
            await self._current.write(data)

    async def end(self) -> None:
        """Make the current file durable. Raises MediaServiceError for a refusal."""
        if self._current is not None and not self._is_blank:
            self.received.append(await self._current.finish())
            self._current.wait_for_commit()
        self._current = None

    async def discard(self) -> None:
        """Remove the bytes of every file, and the claims on them."""
        if self._current is not None:
            await self._current.abort()
            self._current = None
        ids = [received.id for received in self.received]
        if ids:
            await self._storage.delete([original_key(file_id) for file_id in ids])
            await self._sessions.discard(ids)

    async def _discard_in_time(self) -> None:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await self.discard()
        except (MediaServiceError, TimeoutError) as error:
            log.warning("upload.left_to_sweeper", error=type(error).__name__)
            self._sessions.forget(self._begun)
