"""Where the bytes of an upload go: into the storage, or nowhere if they are only to be known. API room."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from media_service.storage.aio import AsyncStorage
from media_service.storage.keys import original_key
from media_service.storage.limits import part_size_for
from media_service.storage.part_writer import HASH_INLINE_BYTES, PartWriter, WrittenBlob
from media_service.storage.upload_memory import UploadMemory
from media_service.uploads.policy import UploadPolicy
from media_service.uploads.reservation import BatchReservation
from media_service.uploads.sessions import SessionHook, UploadSessions


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
    reservation: BatchReservation | None = None
    """Of its request; None if the owner has no quota."""


class Writer(Protocol):
    """Where the bytes of one file go (`storage/part_writer.py`). One of `finish` and `abort` ends it."""

    async def write(self, data: bytes | memoryview) -> None: ...

    async def finish(self) -> WrittenBlob: ...

    async def abort(self) -> None: ...


class Destination(Protocol):
    def open_writer(self, file_id: UUID, announced: Announced, *, content_type: str) -> Writer:
        """A writer for the bytes of one file."""
        ...

    def keep_until_commit(self, file_id: UUID, announced: Announced) -> None:
        """Keep a finished file safe from the sweeper until it is committed or discarded."""
        ...

    async def discard(self, finished_ids: Collection[UUID], begun_ids: Collection[UUID]) -> None:
        """Remove the bytes of finished files, and all claims."""
        ...

    def leave_to_sweeper(self, begun_ids: Collection[UUID]) -> None:
        """Stop to claim what could not be removed in time."""
        ...


class StorageDestination:
    """Makes durable objects."""

    def __init__(
        self,
        storage: AsyncStorage,
        *,
        sessions: UploadSessions,
        policy: UploadPolicy,
        memory: UploadMemory,
    ) -> None:
        self._storage = storage
        self._sessions = sessions
        self._policy = policy
        self._memory = memory

    def open_writer(self, file_id: UUID, announced: Announced, *, content_type: str) -> Writer:
        length_bytes = announced.length_bytes or self._policy.max_file_size_bytes
        return PartWriter(
            self._storage,
            original_key(file_id),
            content_type=content_type,
            part_size_bytes=part_size_for(self._storage.part_limits, length_bytes=length_bytes),
            memory=self._memory,
            hook=SessionHook(
                self._sessions,
                file_id,
                owner_id=announced.owner_id,
                protocol=announced.protocol,
                reservation=announced.reservation,
            ),
        )

    def keep_until_commit(self, file_id: UUID, announced: Announced) -> None:
        self._sessions.wait_for_commit(file_id, owner_id=announced.owner_id, protocol=announced.protocol)

    async def discard(self, finished_ids: Collection[UUID], begun_ids: Collection[UUID]) -> None:
        if finished_ids:
            await self._storage.delete([original_key(file_id) for file_id in finished_ids])
        await self._sessions.discard(begun_ids)

    def leave_to_sweeper(self, begun_ids: Collection[UUID]) -> None:
        self._sessions.forget(begun_ids)


class Nowhere:
    """Counts and hashes, for a request that was done already."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage

    def open_writer(self, file_id: UUID, announced: Announced, *, content_type: str) -> Writer:  # noqa: ARG002 - the port's signature
        return DigestWriter(self._storage)

    def keep_until_commit(self, file_id: UUID, announced: Announced) -> None: ...

    async def discard(self, finished_ids: Collection[UUID], begun_ids: Collection[UUID]) -> None: ...

    def leave_to_sweeper(self, begun_ids: Collection[UUID]) -> None: ...


class DigestWriter:
    """Takes bytes and keeps their number and their SHA-256."""

    def __init__(self, storage: AsyncStorage) -> None:
        self._storage = storage
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    async def write(self, data: bytes | memoryview) -> None:
        self._size_bytes += len(data)
        if len(data) <= HASH_INLINE_BYTES:
            self._digest.update(data)
        else:
            await self._storage.run(lambda: self._digest.update(data))

    async def finish(self) -> WrittenBlob:
        return WrittenBlob(self._size_bytes, self._digest.hexdigest())

    async def abort(self) -> None: ...
