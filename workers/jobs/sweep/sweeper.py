"""Takes what no row owns, and finds what rows own in vain. Worker room.

Any number of sweepers may run at once, such as a command beside the dispatcher's: nothing is kept from one
look to the next but the place in a listing. What is found is asked of the database right before the act, a
claim is taken by compare-and-set, a delete of what is gone is no error, and a job is made under the lock of
its file's row.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from media_service.blocking_database import Database
from media_service.exceptions import MediaServiceError
from media_service.storage.port import Storage
from workers.jobs.sweep.claims import (
    AbandonedUploads,
    dead_workers,
    past_api_keys,
    past_idempotency_keys,
    past_logins,
    past_upload_tokens,
)
from workers.jobs.sweep.findings import Finding, Kind, Step
from workers.jobs.sweep.healing import Healer
from workers.jobs.sweep.left_files import LeftFiles
from workers.jobs.sweep.missing import MissingObjects
from workers.jobs.sweep.orphans import UnknownUploads, UnownedOriginals, UnownedRenditions, UnownedTails
from workers.jobs.sweep.usage import WrongUsage

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRules:
    """Times and bounds; all of them are settings."""

    grace: timedelta
    """How old bytes without a row, and rows without bytes, must be."""
    presets: Collection[str]
    """Names of the renditions that can be made."""
    job_max_attempts: int
    spill_dir: Path
    """Where the API of this machine spills parts."""


class Sweeper:
    """Goes round and round; each round is bounded and goes on where the one before stopped."""

    def __init__(self, database: Database, storage: Storage, rules: SweepRules) -> None:
        healer = Healer(database, max_attempts=rules.job_max_attempts)
        missing = MissingObjects(database, storage, healer, grace=rules.grace, presets=rules.presets)
        self._steps: Sequence[Step] = (
            AbandonedUploads(database, storage),
            past_idempotency_keys(database),
            past_upload_tokens(database),
            past_api_keys(database),
            past_logins(database),
            dead_workers(database),
            WrongUsage(database),
            UnknownUploads(database, storage, grace=rules.grace),
            UnownedOriginals(database, storage, grace=rules.grace),
            UnownedTails(database, storage, grace=rules.grace),
            UnownedRenditions(database, storage, grace=rules.grace, suspect=missing.suspect),
            missing,
            LeftFiles(rules.spill_dir, grace=rules.grace),
        )

    def run_round(self) -> Counter[Kind]:
        """Act on what is found, and count it.

        A step that fails leaves the others their turn. Raises its MediaServiceError (unavailable) at the end.
        """
        swept: Counter[Kind] = Counter()
        failures = _Failures()
        for step in self._steps:
            with failures.of(step):
                swept.update(finding.kind for finding in _work(step, dry_run=False))
        if swept:
            log.info("sweeper.swept", **{kind.value: count for kind, count in sorted(swept.items())})
        failures.raise_first()
        return swept

    def run_through(self, *, dry_run: bool) -> Iterator[Finding]:
        """Walk everything once, and give what was acted on, or with `dry_run` what would be.

        A dry run changes nothing. Raises MediaServiceError (unavailable) at the end, as a round does.
        """
        failures = _Failures()
        for step in self._steps:
            with failures.of(step):
                yield from _work(step, dry_run=dry_run)
                while not step.is_through:
                    yield from _work(step, dry_run=dry_run)
        failures.raise_first()


class _Failures:
    """Of steps, which leave the others their turn."""

    def __init__(self) -> None:
        self._first: MediaServiceError | None = None

    @contextmanager
    def of(self, step: Step) -> Iterator[None]:
        try:
            yield
        except MediaServiceError as error:
            log.warning("sweeper.step_failed", step=type(step).__name__, code=error.code)
            self._first = self._first or error

    def raise_first(self) -> None:
        if self._first is not None:
            raise self._first


def _work(step: Step, *, dry_run: bool) -> Iterator[Finding]:
    """One bounded look of a step."""
    for batch in step.look():
        if batch.findings:
            yield from batch.findings if dry_run else batch.act()
