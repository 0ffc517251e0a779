"""The files of one request: all of them are stored, or nothing stays. API room."""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from media_service.exceptions import MediaServiceError
from media_service.uploads.destinations import Announced, Destination
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.receiver import FileReceiver
from media_service.uploads.registration import ReceivedFile
from media_service.uploads.reservation import BatchReservation

log = structlog.get_logger(__name__)

CLEAN_UP_SECONDS = 5
"""For leaving nothing behind after a refusal; what is not done by then is the sweeper's."""


class Batch:
    """Receives files one after the other. Leaving the block by an exception discards all of them."""

    def __init__(
        self, destination: Destination, policy: UploadPolicy, *, reservation: BatchReservation | None = None
    ) -> None:
        """Without a `reservation` nothing is reserved: the owner has no quota, or the bytes go nowhere."""
        self.received: list[ReceivedFile] = []
        self._destination = destination
        self._policy = policy
        self._reservation = reservation
        self._size_bytes = 0
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

    def expect_at_most(self, more_bytes: int) -> None:
        """Take note of how many bytes of files may still come."""
        if self._reservation is not None:
            self._reservation.most_bytes = self._size_bytes + more_bytes

    def begin(self, announced: Announced) -> None:
        # A browser sends a file input that was left empty as a part without name and bytes.
        self._is_blank = announced.filename == "" and announced.protocol == "form"
        announced = replace(announced, reservation=self._reservation)
        if not self._is_blank:
            self._check_count()
        self._current = FileReceiver(announced, policy=self._policy, destination=self._destination)
        self._begun.append(self._current.id)

    async def write(self, data: bytes | memoryview) -> None:
        if self._current is not None and data:
            if self._is_blank:
                self._check_count()
                self._is_blank = False
            self._size_bytes += len(data)
            await self._cover()
            await self._current.write(data)

    async def end(self) -> None:
        """Make the current file durable. Raises MediaServiceError for a refusal."""
        if self._current is not None and not self._is_blank:
            await self._cover()
            self.received.append(await self._current.finish())
        self._current = None

    async def discard(self) -> None:
        """Remove the bytes of every file, and the claims on them."""
        if self._current is not None:
            await self._current.abort()
            self._current = None
        await self._destination.discard([received.id for received in self.received], self._begun)

    def _check_count(self) -> None:
        self._policy.check_count(len(self.received) + 1)

    async def _cover(self) -> None:
        if self._reservation is not None:
            await self._reservation.cover(self._size_bytes, files=len(self.received) + 1)

    async def _discard_in_time(self) -> None:
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await self.discard()
        except (MediaServiceError, TimeoutError) as error:
            log.warning("upload.left_to_sweeper", error=type(error).__name__)
            self._destination.leave_to_sweeper(self._begun)
