"""The sweeper with its settings, and the command that walks everything once. Composition root."""

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from media_service.backends import create_storage
from media_service.blocking_database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import utc_now
from media_service.observability import configure_logging
from media_service.storage.port import Storage
from workers.config import WorkerSettings, load_worker_settings
from workers.jobs.sweep.findings import Finding, Kind
from workers.jobs.sweep.sweeper import Sweeper, SweepRules

DEEDS: Mapping[Kind, tuple[str, str]] = {
    **dict.fromkeys(Kind, ("removed", "would be removed")),
    Kind.WRONG_USAGE: ("counted anew", "would be counted anew"),
    Kind.MISSING_RENDITION: ("is made again", "would be made again"),
    Kind.MISSING_BYTES: ("lost: restore it from a backup", "lost: restore it from a backup"),
}
"""What was done to a finding, and what a dry run says of it."""


def create_sweeper(
    settings: WorkerSettings, database: Database, storage: Storage, *, grace: timedelta
) -> Sweeper:
    rules = SweepRules(
        grace=grace,
        presets=frozenset(preset.name for preset in settings.presets),
        job_max_attempts=settings.job_max_attempts,
        spill_dir=settings.spill_dir.resolve(),
    )
    return Sweeper(database, storage, rules)


def sweep(*, dry_run: bool, grace: timedelta | None) -> None:
    """Walk everything once and print a line for each thing found, then a summary; the log goes to stderr.

    Safe beside a running service and its dispatcher, which sweeps too: `jobs/sweep/sweeper.py` says why. It
    takes no lease, since the dispatcher's is renewed by a process that may not stop for hours of walking.
    Raises MediaServiceError: a grace too short for a real run, database or storage away.
    """
    settings = load_worker_settings()
    configure_logging(
        role="sweep", log_format=settings.log_format, level=settings.log_level, stream=sys.stderr
    )
    grace = grace or settings.worker_sweep_grace
    if not dry_run:
        _check_grace(grace, settings.upload_lease)
    # One transaction at a time.
    database = Database(settings.effective_database_url, pool_size=1)
    storage = create_storage(settings.storage, s3=settings, data_dir=settings.data_dir)
    try:
        _report(create_sweeper(settings, database, storage, grace=grace), dry_run=dry_run)
    finally:
        database.close()


def _check_grace(grace: timedelta, lease: timedelta) -> None:
    """A small file whose form goes on is claimed by a row only at the next beat of its lease."""
    if grace < lease:
        raise MediaServiceError(
            ErrorKind.INVALID,
            "grace-too-short",
            f"A grace of less than MEDIA_UPLOAD_LEASE ({lease.total_seconds():g} s) would take uploads that "
            "are on their way; only --dry-run may look so closely.",
        )


def _report(sweeper: Sweeper, *, dry_run: bool) -> None:
    counts: Counter[Kind] = Counter()
    for finding in sweeper.run_through(dry_run=dry_run):
        counts[finding.kind] += 1
        print(_line(finding, dry_run=dry_run), flush=True)
    found = ", ".join(f"{count} x {_words(kind)}" for kind, count in sorted(counts.items())) or "nothing"
    print(f"Found: {found}.{' Nothing was changed (dry run).' if dry_run else ''}")


def _line(finding: Finding, *, dry_run: bool) -> str:
    done, due = DEEDS[finding.kind]
    age = "" if finding.since is None else f" ({_age(utc_now() - finding.since)} old)"
    return f"{_words(finding.kind)}: {finding.name}{age}: {due if dry_run else done}"


def _words(kind: Kind) -> str:
    return kind.value.replace("_", " ")


def _age(age: timedelta) -> str:
    return str(timedelta(seconds=max(round(age.total_seconds()), 0)))
