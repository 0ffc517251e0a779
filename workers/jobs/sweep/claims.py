"""Rows whose time is over: uploads whose process died, keys that nobody asks for, dead workers. Worker room.

Their leases say so, whatever their age. Each act deletes by the same condition again: a claim that was
renewed since the look stays.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.sql.dml import ReturningDelete

from media_service.auth.queries import delete_keys, delete_logins, ended_keys, ended_logins
from media_service.blocking_database import Database
from media_service.files.queries import known_file_ids
from media_service.idempotency.queries import delete_past_keys, past_keys
from media_service.jobs.presence import bury_dead, dead_processes
from media_service.models import utc_now
from media_service.storage.keys import original_key, tails_prefix
from media_service.storage.port import Storage
from media_service.upload_tokens.queries import delete_tokens, past_tokens
from media_service.uploads import queries
from media_service.uploads.models import UploadSession
from workers.jobs.sweep.findings import Batch, Finding, Kind
from workers.jobs.sweep.walk import BATCH, Walk, rows

Row = TypeVar("Row")

TOKENS_KEPT = timedelta(days=7)
"""After their expiry: for who looks what became of one, and for uploads that began just in time."""

KEYS_KEPT = timedelta(days=30)
"""After their end: for who looks whose key that was in the log."""
LOGINS_KEPT = timedelta(days=1)
"""After their end: for uploads that began just in time."""


class PastRows(Generic[Row]):
    """Rows that are deleted, and nothing else."""

    def __init__(
        self,
        database: Database,
        kind: Kind,
        *,
        page: Callable[[UUID | None], Select[Row]],
        position: Callable[[Row], UUID],
        take: Callable[[Collection[UUID]], ReturningDelete[UUID]],
    ) -> None:
        self._database = database
        self._kind = kind
        self._position = position
        self._take = take
        self._walk = Walk(lambda: rows(database, page, position=position))

    @property
    def is_through(self) -> bool:
        return self._walk.is_through

    def look(self) -> Iterator[Batch]:
        for found in self._walk.batches():
            ids = [self._position(row) for row in found]
            yield Batch([Finding(self._kind, str(row_id)) for row_id in ids], partial(self._delete, ids))

    def _delete(self, ids: Sequence[UUID]) -> Sequence[Finding]:
        with self._database.transaction() as session:
            taken = list(session.scalars(self._take(ids)))
        return [Finding(self._kind, str(row_id)) for row_id in taken]


def past_idempotency_keys(database: Database) -> PastRows[UUID]:
    """Keys that nobody can ask for any more, named by their tokens: the keys themselves are the clients'."""
    return PastRows(
        database,
        Kind.PAST_IDEMPOTENCY_KEY,
        page=lambda after: past_keys(after=after, limit=BATCH),
        position=lambda token: token,
        take=delete_past_keys,
    )


def past_upload_tokens(database: Database) -> PastRows[UUID]:
    """Tokens that expired a while ago, used up or not, revoked or not."""
    return PastRows(
        database,
        Kind.PAST_UPLOAD_TOKEN,
        page=lambda after: past_tokens(before=utc_now() - TOKENS_KEPT, after=after, limit=BATCH),
        position=lambda token_id: token_id,
        take=delete_tokens,  # what has expired once never lives again
    )


def past_api_keys(database: Database) -> PastRows[UUID]:
    """Keys that were revoked or expired a while ago."""
    return PastRows(
        database,
        Kind.PAST_API_KEY,
        page=lambda after: ended_keys(before=utc_now() - KEYS_KEPT, after=after, limit=BATCH),
        position=lambda key_id: key_id,
        take=delete_keys,  # what has ended once never lives again
    )


def past_logins(database: Database) -> PastRows[UUID]:
    """Logins of users who did not log in again since: at the next login they would go by themselves."""
    return PastRows(
        database,
        Kind.PAST_LOGIN,
        page=lambda after: ended_logins(before=utc_now() - LOGINS_KEPT, after=after, limit=BATCH),
        position=lambda session_id: session_id,
        take=delete_logins,
    )


def dead_workers(database: Database) -> PastRows[UUID]:
    """Worker processes that were killed."""
    return PastRows(
        database,
        Kind.DEAD_WORKER,
        page=lambda after: dead_processes(after=after, limit=BATCH),
        position=lambda process_id: process_id,
        take=bury_dead,
    )


class AbandonedUploads:
    """Uploads whose process died, and resumable ones that nobody continued in time, with their bytes."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage
        self._walk = Walk(
            lambda: rows(
                database,
                lambda after: queries.abandoned_sessions(after=after, limit=BATCH),
                position=lambda upload: upload.id,
            )
        )

    @property
    def is_through(self) -> bool:
        return self._walk.is_through

    def look(self) -> Iterator[Batch]:
        for found in self._walk.batches():
            yield Batch(
                [_finding(upload.id, upload.created_at) for upload in found],
                partial(self._take, [upload.id for upload in found]),
            )

    def _take(self, ids: Sequence[UUID]) -> Sequence[Finding]:
        with self._database.transaction() as session:
            taken = list(session.scalars(queries.take_abandoned_sessions(ids)))
        with self._database.read() as session:
            files = set(session.scalars(known_file_ids([_file_id(upload) for upload in taken])))
        # If this process dies here, the other steps find the bytes after the grace.
        for upload in taken:
            self._remove_bytes(upload, is_file=_file_id(upload) in files)
        return [_finding(upload.id, upload.created_at) for upload in taken]

    def _remove_bytes(self, upload: UploadSession, *, is_file: bool) -> None:
        key = original_key(_file_id(upload))
        if upload.storage_upload_id is not None:
            self._storage.abort_upload(key, upload.storage_upload_id)
        if not is_file:
            self._storage.delete([key])  # its process may have died between the last byte and the commit
        if upload.file_id is not None:
            self._storage.delete([tail.key for tail in self._storage.list_objects(tails_prefix(upload.id))])


def _file_id(upload: UploadSession) -> UUID:
    """The file to come, whose key the bytes have."""
    return upload.file_id or upload.id


def _finding(session_id: UUID, created_at: datetime) -> Finding:
    return Finding(Kind.ABANDONED_UPLOAD, str(session_id), created_at)
