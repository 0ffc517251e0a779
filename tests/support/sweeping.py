"""Sweepers over a backend, as the dispatcher and the command line build them, and what they look at."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from media_service.files.queries import renditions_of_files
from media_service.jobs.lifecycle import JobStatus
from media_service.storage.port import Storage
from media_service.tables import File, Job, Rendition
from media_service.transforms.spec import DEFAULT_PRESETS
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.workshop import Workshop
from workers.jobs.sweep.sweeper import Sweeper, SweepRules

NOW, HOUR = timedelta(seconds=-5), timedelta(hours=1)
"""Graces: everything counts as old (clocks of storages may lag a little), or nothing does."""

PRESETS = frozenset(preset.name for preset in DEFAULT_PRESETS)


def make_sweeper(
    backend: Backend,
    *,
    grace: timedelta = NOW,
    storage: Storage | Any = None,
    presets: frozenset[str] = PRESETS,
    spill_dir: Path = Path("/nonexistent"),
) -> Sweeper:
    rules = SweepRules(grace=grace, presets=presets, job_max_attempts=20, spill_dir=spill_dir)
    return Sweeper(backend.database, storage or backend.storage, rules)


def sweep(backend: Backend, **options: Any) -> dict[str, int]:
    """What one round of a new sweeper did, by kind."""
    return {kind.value: count for kind, count in make_sweeper(backend, **options).run_round().items()}


def ready_image(backend: Backend, owner: Owner, workshop: Workshop) -> File:
    """A file whose job is over."""
    file, job = add_image(backend, owner)
    assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    return file


def renditions(backend: Backend, file: File) -> dict[str, Rendition]:
    """Rows by name."""
    with backend.database.read() as session:
        return {row.name: row for row in session.scalars(renditions_of_files([file.id]))}


def unfinished_jobs(backend: Backend) -> list[Job]:
    return [job for job in backend.rows(Job) if job.status in {JobStatus.QUEUED, JobStatus.RUNNING}]
