"""A worker without Celery: the real jobs, run by a call."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from media_service.jobs.lifecycle import JobStatus
from media_service.storage.port import Storage
from media_service.tables import Job
from media_service.transforms.spec import DEFAULT_PRESETS
from tests.support.backends import Backend
from workers.jobs.context import JobContext
from workers.jobs.leases import LeaseKeeper
from workers.jobs.run import run_job
from workers.processing.sandbox import Sandbox

MAX_SOURCE_BYTES = 64 * 1024 * 1024


class Workshop:
    """Runs jobs of a backend in this process. `context` may be replaced to injure one of the tools."""

    def __init__(self, backend: Backend, sandbox: Sandbox, scratch: Path, *, lease: timedelta) -> None:
        self.backend = backend
        self.keeper = LeaseKeeper(backend.database, lease=lease)
        self.context = JobContext(
            max_source_bytes=MAX_SOURCE_BYTES,
            database=backend.database,
            storage=backend.storage,
            sandbox=sandbox,
            presets=DEFAULT_PRESETS,
            scratch_root=scratch,
        )

    def run(self, job_id: UUID) -> Job:
        """Run one job if it can be claimed; returns its row as it is then."""
        run_job(job_id, self.context, self.keeper)
        with self.backend.database.read() as session:
            return session.get_one(Job, job_id)

    def run_all(self) -> list[Job]:
        """Run every queued job once, oldest first."""
        queued = select(Job.id).where(Job.status == JobStatus.QUEUED).order_by(Job.id)
        with self.backend.database.read() as session:
            ids = list(session.scalars(queued))
        return [self.run(job_id) for job_id in ids]

    @contextmanager
    def with_storage(self, storage: Storage | Any) -> Iterator[None]:
        """Let jobs use another storage while the block runs."""
        whole = self.context
        self.context = replace(whole, storage=storage)
        try:
            yield
        finally:
            self.context = whole
