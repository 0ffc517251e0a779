"""Bytes in the storage that no row owns: forgotten uploads, objects without a file. Worker room.

Only what is older than the grace is looked at, and the database is asked after the storage: what is on its
way right now must never look like nobody's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from media_service.blocking_database import Database
from media_service.exceptions import MediaServiceError
from media_service.files.queries import known_file_ids, renditions_of_files
from media_service.jobs.queries import files_at_work
from media_service.models import utc_now
from media_service.storage.keys import ORIGINALS, RENDITIONS, TAILS, owner_of
from media_service.storage.port import OpenUpload, Storage, StoredObject
from media_service.uploads import queries
from media_service.uploads.resumable.queries import current_tails
from workers.jobs.sweep.findings import Batch, Finding, Kind
from workers.jobs.sweep.walk import Walk

Owners = Mapping[str, UUID]
"""Object keys and the files that they belong to by their names."""


class UnknownUploads:
    """Uploads that the storage began and no session knows; in local storage also puts that never ended."""

    def __init__(self, database: Database, storage: Storage, *, grace: timedelta) -> None:
        self._database = database
        self._storage = storage
        self._grace = grace
        self._walk = Walk(storage.list_uploads)

    @property
    def is_through(self) -> bool:
        return self._walk.is_through

    def look(self) -> Iterator[Batch]:
        before = utc_now() - self._grace
        for found in self._walk.batches():
            unknown = self._without_session([upload for upload in found if upload.started_at < before])
            findings = [Finding(Kind.UNKNOWN_UPLOAD, upload.key, upload.started_at) for upload in unknown]
            yield Batch(findings, partial(self._abort, unknown, findings))

    def _without_session(self, uploads: Sequence[OpenUpload]) -> list[OpenUpload]:
        if not uploads:
            return []
        # By the file it is for: a session is there before its upload, which it knows only a moment later.
        owners = {upload.upload_id: owner_of(upload.key) for upload in uploads}
        ids = {owner for owner in owners.values() if owner is not None}
        with self._database.read() as session:
            live = set(session.scalars(queries.known_session_ids(ids)))
        return [upload for upload in uploads if owners[upload.upload_id] not in live]

    def _abort(self, uploads: Sequence[OpenUpload], findings: Sequence[Finding]) -> Sequence[Finding]:
        for upload in uploads:
            self._storage.abort_upload(upload.key, upload.upload_id)
        return findings


class UnownedObjects:
    """Objects of one sort. A subclass says which of them nobody owns."""

    prefix: str

    def __init__(self, database: Database, storage: Storage, *, grace: timedelta) -> None:
        self._database = database
        self._storage = storage
        self._grace = grace
        self._walk = Walk(lambda: storage.list_objects(self.prefix))

    @property
    def is_through(self) -> bool:
        return self._walk.is_through

    def look(self) -> Iterator[Batch]:
        before = utc_now() - self._grace
        for found in self._walk.batches():
            orphans = self._without_owner([stored for stored in found if stored.modified_at < before])
            findings = [Finding(Kind.UNOWNED_OBJECT, stored.key, stored.modified_at) for stored in orphans]
            yield Batch(findings, partial(self._delete, findings))

    def _without_owner(self, stored: Sequence[StoredObject]) -> list[StoredObject]:
        named = {found.key: owner_of(found.key) for found in stored}
        owners = {key: owner for key, owner in named.items() if owner is not None}
        unowned = set(self._unowned(owners)) if owners else set()
        return [found for found in stored if found.key in unowned]

    def _delete(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        self._storage.delete([finding.name for finding in findings])
        return findings

    def _unowned(self, owners: Owners) -> list[str]:
        raise NotImplementedError


class UnownedOriginals(UnownedObjects):
    """Originals of files that do not exist and are not on their way."""

    prefix = ORIGINALS

    def _unowned(self, owners: Owners) -> list[str]:
        ids = set(owners.values())
        with self._database.read() as session:
            # Sessions first: a commit that comes between the two looks turns a session into a file. S3 dates
            # an object from the start of its upload, so one that took hours looks old when it is done.
            known = set(session.scalars(queries.known_session_ids(ids)))
            known.update(session.scalars(known_file_ids(ids)))
        return [key for key, owner in owners.items() if owner not in known]


class UnownedTails(UnownedObjects):
    """Tails of resumable uploads that are not the current one of a session: replaced, or fenced out."""

    prefix = TAILS

    def _unowned(self, owners: Owners) -> list[str]:
        with self._database.read() as session:
            current = set(session.scalars(current_tails(set(owners.values()))))
        return sorted(set(owners) - current)


class UnownedRenditions(UnownedObjects):
    """Renditions that no row describes: replaced, fenced out, or of a file that is gone.

    A file that is being processed is left alone: its job may be about to describe what it stored. A job that
    begins between this look and the delete may still store the same bytes under the same key, and lose them.
    That cannot be prevented without holding a lock while bytes are deleted, so it is repaired: after the
    delete the rows are asked again, and a file that describes a deleted key now, or is at work and may soon,
    is given to `suspect`, whose step makes its renditions again (`missing.py`).
    """

    prefix = RENDITIONS

    def __init__(
        self,
        database: Database,
        storage: Storage,
        *,
        grace: timedelta,
        suspect: Callable[[set[UUID]], None],
    ) -> None:
        super().__init__(database, storage, grace=grace)
        self._suspect = suspect

    def _unowned(self, owners: Owners) -> list[str]:
        at_work, described = self._claims(owners)
        return [key for key, owner in owners.items() if owner not in at_work and key not in described]

    def _delete(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        owners = {found.name: owner for found in findings if (owner := owner_of(found.name)) is not None}
        try:
            super()._delete(findings)
            at_work, described = self._claims(owners)
        except MediaServiceError:
            self._suspect(set(owners.values()))  # some may be deleted, and nobody could look
            raise
        self._suspect(at_work | {owner for key, owner in owners.items() if key in described})
        return findings

    def _claims(self, owners: Owners) -> tuple[set[UUID], set[str]]:
        """Which of these files are at work, and all keys that rows of these files describe."""
        ids = set(owners.values())
        with self._database.read() as session:
            # Jobs first: one that ends between the two looks has turned what it stored into rows.
            at_work = {file_id for file_id in session.scalars(files_at_work(ids)) if file_id is not None}
            described = {rendition.key for rendition in session.scalars(renditions_of_files(ids))}
        return at_work, described
