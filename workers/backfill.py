"""The command that queues a backfill. Composition root."""

import sys
from collections.abc import Sequence

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.observability import configure_logging
from media_service.transforms.spec import Preset
from workers.config import load_worker_settings
from workers.jobs import backfill as work
from workers.runtime import create_database


def backfill(names: Sequence[str] | None, *, dry_run: bool) -> None:
    """Queue all that is lacking and print how much that is; the log goes to stderr.

    Raises MediaServiceError: no preset of that name, or the database is away.
    """
    settings = load_worker_settings()
    configure_logging(
        role="backfill", log_format=settings.log_format, level=settings.log_level, stream=sys.stderr
    )
    presets = _chosen(settings.presets, names)
    database = create_database(settings)
    queued = at_work = 0
    try:
        for page in work.backfill(
            database, presets, job_max_attempts=settings.job_max_attempts, dry_run=dry_run
        ):
            queued, at_work = queued + page.queued, at_work + page.at_work
            print(f"{queued} files so far", file=sys.stderr, flush=True)
    finally:
        database.close()
    done = "would be queued" if dry_run else "queued"
    print(f"{queued} files {done}, {at_work} have a job already.")


def _chosen(presets: Sequence[Preset], names: Sequence[str] | None) -> list[Preset]:
    """Those of the names, or all that every image gets."""
    if names is None:
        return [preset for preset in presets if "image" in preset.kinds]
    chosen = [preset for preset in presets if preset.name in names]
    if unknown := sorted(set(names) - {preset.name for preset in chosen}):
        raise MediaServiceError(
            ErrorKind.INVALID, "unknown-preset", f"There is no preset named {', '.join(unknown)}."
        )
    return chosen
