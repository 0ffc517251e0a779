"""Takes what no row owns: abandoned uploads, forgotten parts, objects without a file. Worker room.

Each step asks the database freshly and takes only what is older than the grace: what is on its way right
now must never look like nobody's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.files.queries import known_file_ids, renditions_of_files
from media_service.idempotency.queries import delete_past_keys
from media_service.jobs.queries import files_at_work
from media_service.models import utc_now
from media_service.storage.keys import ORIGINALS, RENDITIONS, original_key, owner_of
from media_service.storage.port import OpenUpload, Storage, StoredObject
from media_service.uploads import queries

log = structlog.get_logger(__name__)

Found = TypeVar("Found")

Owners = Mapping[str, UUID]
"""Object keys and the files that they belong to."""

MAX_SESSIONS = 200
MAX_KEYS = 5_000
MAX_OBJECTS = 20_000
"""Looked at per round and kind: a round must end in bounded time in a bucket of any size."""
BATCH = 200


@dataclass(frozen=True, slots=True)
class Swept:
    """What a round removed."""

    sessions: int
    uploads: int
    keys: int
    objects: int


class Sweeper:
    """Goes round and round; each round is bounded and goes on where the one before stopped."""

    def __init__(self, database: Database, storage: Storage, *, grace: timedelta) -> None:
        self._database = database
        self._storage = storage
        self._grace = grace
        self._uploads = _Walk(storage.list_uploads)
        self._originals = _Walk(lambda: storage.list_objects(ORIGINALS))
        self._renditions = _Walk(lambda: storage.list_objects(RENDITIONS))

    def run_round(self) -> Swept:
        """Take what is found. Raises MediaServiceError (unavailable)."""
        swept = Swept(
            sessions=self._sweep_sessions(),
            uploads=self._sweep_uploads(),
            keys=self._sweep_keys(),
            objects=self._sweep_objects(self._originals, self._without_file)
            + self._sweep_objects(self._renditions, self._without_row),
        )
        if any(asdict(swept).values()):
            log.info("sweeper.swept", **asdict(swept))
        return swept

    def _sweep_sessions(self) -> int:
        """Uploads whose process died: their lease says so, whatever their age."""
        with self._database.transaction() as session:
            abandoned = list(session.scalars(queries.take_abandoned_sessions(limit=MAX_SESSIONS)))
        with self._database.read() as session:
            files = set(session.scalars(known_file_ids([upload.id for upload in abandoned])))
        # If this process dies here, the other steps find the bytes after the grace.
        for upload in abandoned:
            key = original_key(upload.id)
            if upload.storage_upload_id is not None:
                self._storage.abort_upload(key, upload.storage_upload_id)
            if upload.id not in files:
                self._storage.delete([key])  # its process may have died between the last byte and the commit
        return len(abandoned)

    def _sweep_keys(self) -> int:
        """Idempotency keys that nobody can ask for any more."""
        with self._database.transaction() as session:
            return len(list(session.scalars(delete_past_keys(limit=MAX_KEYS))))

    def _sweep_uploads(self) -> int:
        """Uploads that the storage knows and no session does."""
        before = utc_now() - self._grace
        count = 0
        for batch in self._uploads.batches():
            old = [upload for upload in batch if upload.started_at < before]
            for upload in self._without_session(old):
                self._storage.abort_upload(upload.key, upload.upload_id)
                count += 1
        return count

    def _without_session(self, uploads: Sequence[OpenUpload]) -> list[OpenUpload]:
        # By the file it is for: a session is there before its upload, which it knows only a moment later.
        owners = {upload.upload_id: owner_of(upload.key) for upload in uploads}
        ids = {owner for owner in owners.values() if owner is not None}
        with self._database.read() as session:
            live = set(session.scalars(queries.known_session_ids(ids)))
        return [upload for upload in uploads if owners[upload.upload_id] not in live]

    def _sweep_objects(self, walk: "_Walk[StoredObject]", unowned: Callable[[Owners], list[str]]) -> int:
        before = utc_now() - self._grace
        count = 0
        for batch in walk.batches():
            owners = {found.key: owner_of(found.key) for found in batch if found.modified_at < before}
            orphans = unowned({key: owner for key, owner in owners.items() if owner is not None})
            self._storage.delete(orphans)
            count += len(orphans)
        return count

    def _without_file(self, owners: Owners) -> list[str]:
        """Originals of files that do not exist and are not on their way."""
        ids = set(owners.values())
        with self._database.read() as session:
            # Sessions first: a commit that comes between the two looks turns a session into a file. S3 dates
            # an object from the start of its upload, so one that took hours looks old when it is done.
            known = set(session.scalars(queries.known_session_ids(ids)))
            known.update(session.scalars(known_file_ids(ids)))
        return [key for key, owner in owners.items() if owner not in known]

    def _without_row(self, owners: Owners) -> list[str]:
        """Renditions that no row describes: replaced, fenced out, or of a file that is gone.

        A file that is being processed is left alone: its job may be about to describe what it stored.
        """
        ids = set(owners.values())
        with self._database.read() as session:
            at_work = set(session.scalars(files_at_work(ids)))
            described = {rendition.key for rendition in session.scalars(renditions_of_files(ids))}
        return [key for key, owner in owners.items() if owner not in at_work and key not in described]


class _Walk(Generic[Found]):
    """Walks a listing of any length in bounded steps, and starts over when it is through."""

    def __init__(self, start: Callable[[], Iterator[Found]]) -> None:
        self._start = start
        self._rest: Iterator[Found] | None = None

    def batches(self) -> Iterator[list[Found]]:
        """At most MAX_OBJECTS more, in lists of BATCH; an error of the listing makes it start over."""
        rest, self._rest = self._rest or self._start(), None
        for _ in range(MAX_OBJECTS // BATCH):
            batch = list(islice(rest, BATCH))
            if not batch:
                return
            yield batch
        self._rest = rest
