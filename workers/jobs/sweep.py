"""Takes what no row owns: abandoned uploads, forgotten parts, objects without a file. Worker room.

Each step asks the database freshly and takes only what is older than the grace: what is on its way right
now must never look like nobody's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TypeVar
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.files.queries import known_file_ids
from media_service.models import utc_now
from media_service.storage.keys import ORIGINALS, RENDITIONS, original_key, owner_of
from media_service.storage.port import OpenUpload, Storage, StoredObject
from media_service.uploads import queries

log = structlog.get_logger(__name__)

Found = TypeVar("Found")

MAX_SESSIONS = 200
MAX_OBJECTS = 20_000
"""Looked at per round and kind: a round must end in bounded time in a bucket of any size."""
BATCH = 200


@dataclass(frozen=True, slots=True)
class Swept:
    """What a round removed."""

    sessions: int
    uploads: int
    objects: int


def sweep(database: Database, storage: Storage, *, grace: timedelta) -> Swept:
    """One round. Raises MediaServiceError (unavailable)."""
    swept = Swept(
        sessions=_sweep_sessions(database, storage),
        uploads=_sweep_uploads(database, storage, grace),
        objects=_sweep_objects(database, storage, grace),
    )
    if swept != Swept(0, 0, 0):
        log.info("sweeper.swept", sessions=swept.sessions, uploads=swept.uploads, objects=swept.objects)
    return swept


def _sweep_sessions(database: Database, storage: Storage) -> int:
    """Uploads whose process died: their lease says so, whatever their age."""
    with database.transaction() as session:
        abandoned = list(session.scalars(queries.take_abandoned_sessions(limit=MAX_SESSIONS)))
    # If this process dies here, the two steps below find the bytes after the grace.
    for upload in abandoned:
        key = original_key(upload.id)
        if upload.storage_upload_id is not None:
            storage.abort_upload(key, upload.storage_upload_id)
        storage.delete([key])  # its process may have died between the last byte and the commit
    return len(abandoned)


def _sweep_uploads(database: Database, storage: Storage, grace: timedelta) -> int:
    """Uploads that the storage knows and no session does."""
    before = utc_now() - grace
    old = (upload for upload in storage.list_uploads() if upload.started_at < before)
    count = 0
    for uploads in _batches(old):
        for upload in _without_session(uploads, database):
            storage.abort_upload(upload.key, upload.upload_id)
            count += 1
    return count


def _without_session(uploads: tuple[OpenUpload, ...], database: Database) -> Iterator[OpenUpload]:
    with database.read() as session:
        live = set(session.scalars(queries.live_storage_uploads([upload.upload_id for upload in uploads])))
    return (upload for upload in uploads if upload.upload_id not in live)


def _sweep_objects(database: Database, storage: Storage, grace: timedelta) -> int:
    """Objects of files that do not exist."""
    before = utc_now() - grace
    count = 0
    for prefix in (ORIGINALS, RENDITIONS):
        old = (found for found in storage.list_objects(prefix) if found.modified_at < before)
        for objects in _batches(old):
            orphans = _without_file(objects, database)
            storage.delete(orphans)
            count += len(orphans)
    return count


def _without_file(objects: tuple[StoredObject, ...], database: Database) -> list[str]:
    owners: dict[str, UUID] = {found.key: owner_of(found.key) for found in objects}
    ids = set(owners.values())
    with database.read() as session:
        # Sessions first: a commit that comes between the two looks turns a session into a file. S3 dates an
        # object from the start of its upload, so one that took hours looks old at the moment it is done.
        known = set(session.scalars(queries.known_session_ids(ids)))
        known.update(session.scalars(known_file_ids(ids)))
    return [key for key, owner in owners.items() if owner not in known]


def _batches(found: Iterable[Found]) -> Iterator[tuple[Found, ...]]:
    """Bounded in all and in each; `itertools.batched` came with Python 3.12."""
    bounded = islice(found, MAX_OBJECTS)
    return iter(lambda: tuple(islice(bounded, BATCH)), ())
