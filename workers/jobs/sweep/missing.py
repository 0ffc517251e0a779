"""The other direction: rows whose object is missing. Worker room.

An original that is missing is a loss that nothing here can undo: it is said aloud, and nothing is deleted.
A rendition can be made again from its original.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File, Rendition
from media_service.files.processing import can_be_processed
from media_service.files.queries import described_files, settled_files
from media_service.jobs.queries import files_at_work, files_given_up
from media_service.models import utc_now
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.storage.keys import owner_of
from media_service.storage.port import Storage
from workers.jobs.sweep.findings import Batch, Finding, Kind
from workers.jobs.sweep.healing import Healer

log = structlog.get_logger(__name__)

MAX_HEADS = 400
"""Asked of the storage per round: a few seconds of HEADs, each of which S3 bills."""
PAGE = 20
"""Files."""

PAUSE_AFTER_FAILURE = timedelta(days=1)
"""A file whose renditions could not be made is not tried again sooner: it would be a job in each round."""


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """What else the database knows of some files at the moment of a look."""

    at_work: frozenset[UUID | None]
    given_up: frozenset[UUID | None]


class MissingObjects:
    """Walks over all files in order of id, beginning with those that are under suspicion."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        healer: Healer,
        *,
        grace: timedelta,
        presets: Collection[str],
    ) -> None:
        self._database = database
        self._storage = storage
        self._healer = healer
        self._grace = grace
        self._presets = frozenset(presets)
        self._suspects: set[UUID] = set()
        self._after: UUID | None = None
        self.is_through = False

    def suspect(self, file_ids: set[UUID]) -> None:
        """Look at these files first, however young they are, as soon as no job is about them.

        Known to this process alone: if it dies, the walk comes by in its time.
        """
        self._suspects |= file_ids

    def look(self) -> Iterator[Batch]:
        self.is_through = False
        yield from self._look_at_suspects()
        before, heads = utc_now() - self._grace, 0
        while heads < MAX_HEADS and not self.is_through:
            files = self._next_page(before)
            heads += sum(1 + len(file.renditions) for file in files)
            yield self._look_at(files)

    def _look_at_suspects(self) -> Iterator[Batch]:
        if not self._suspects:
            return
        with self._database.read() as session:
            ripe = self._suspects - set(session.scalars(files_at_work(self._suspects)))
            files = list(session.scalars(described_files(ripe)))
        yield self._look_at(files)
        self._suspects -= ripe  # only now: an outage in between must not acquit them

    def _next_page(self, before: datetime) -> list[File]:
        """Moves on before the objects are asked for: one that cannot be must not stop the walk for ever."""
        with self._database.read() as session:
            files = list(session.scalars(settled_files(after=self._after, before=before, limit=PAGE)))
        self.is_through = len(files) < PAGE
        self._after = None if self.is_through else files[-1].id
        return files

    def _look_at(self, files: Sequence[File]) -> Batch:
        missing = {key for file in files for key in _keys(file) if not self._exists(key)}
        findings = self._judge(missing) if missing else []
        return Batch(findings, partial(self._act, findings))

    def _exists(self, key: str) -> bool:
        """Raises StorageUnavailableError: only "not found" is an answer."""
        try:
            self._storage.head(key)
        except ObjectNotFoundError:
            return False
        return True

    def _judge(self, missing: set[str]) -> list[Finding]:
        """What is really lost of these keys: described still, by a storage that is well.

        A bucket that is gone, or a volume that is not mounted, says "not found" to every HEAD, so the storage
        itself is asked before it is believed. A row that was replaced or deleted since it was read is gone
        before its object is, so the rows are read again after the HEADs.
        """
        self._storage.check()
        ids = {owner for key in missing if (owner := owner_of(key)) is not None}
        with self._database.read() as session:
            circumstances = _Circumstances(
                at_work=frozenset(session.scalars(files_at_work(ids))),
                given_up=frozenset(
                    session.scalars(files_given_up(ids, since=utc_now() - PAUSE_AFTER_FAILURE))
                ),
            )
            files = list(session.scalars(described_files(ids)))
        return [finding for file in files for finding in self._findings(file, missing, circumstances)]

    def _findings(self, file: File, missing: set[str], circumstances: _Circumstances) -> Iterator[Finding]:
        if file.key in missing:
            yield Finding(Kind.MISSING_BYTES, file.key, file.created_at)
        is_hopeless = (
            file.key in missing
            or file.id in circumstances.given_up
            or file.status is not FileStatus.READY
            or not can_be_processed(file)
        )
        for rendition in file.renditions:
            if rendition.key in missing and file.id not in circumstances.at_work:
                yield _rendition_finding(
                    rendition, is_hopeless=is_hopeless or rendition.name not in self._presets
                )

    def _act(self, findings: Sequence[Finding]) -> list[Finding]:
        for finding in findings:
            if finding.kind is Kind.MISSING_BYTES:
                log.error("sweeper.bytes_missing", file_id=str(owner_of(finding.name)), key=finding.name)
        lost = [finding for finding in findings if finding.kind is Kind.MISSING_RENDITION]
        healed = self._healer.heal([finding.name for finding in lost])
        return [
            finding for finding in findings if finding.kind is Kind.MISSING_BYTES or finding.name in healed
        ]


def _keys(file: File) -> list[str]:
    return [file.key, *(rendition.key for rendition in file.renditions)]


def _rendition_finding(rendition: Rendition, *, is_hopeless: bool) -> Finding:
    kind = Kind.MISSING_BYTES if is_hopeless else Kind.MISSING_RENDITION
    return Finding(kind, rendition.key, rendition.created_at)
