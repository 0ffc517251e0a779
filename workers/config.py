"""Settings of the workers: all that the service has, and what only workers need. For composition roots."""

import os
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from media_service.broker.messages import Lane
from media_service.config import Settings, load_section
from media_service.durations import Duration
from workers.processing.limits import ImageLimits, SandboxLimits


class WorkerSettings(Settings):
    """`MEDIA_WORKER_*`, beside everything else."""

    worker_concurrency: Annotated[int, Field(ge=1, le=256)] = max(2, os.cpu_count() or 2)
    """Jobs at once in one worker process. Each decodes in a child of its own, so more than there are cores
    only helps a storage with latency."""
    worker_render_concurrency: Annotated[int, Field(ge=1, le=256)] = max(2, os.cpu_count() or 2)
    """The same of a process that makes images on the fly and nothing else: those are short, and somebody
    waits, so they have a process of their own (`renderer`), which no upload can fill."""
    worker_backfill_limit: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Jobs of the lane `backfill` that are sent or running at once, over all workers. Each takes a place from
    uploads while it runs, so it should stay below the sum of their concurrency."""
    worker_lanes: Annotated[tuple[Lane, ...], NoDecode, Field(min_length=1)] = tuple(Lane)
    """Lanes that a worker process works on, comma-separated: a machine for each, where one is not enough. A
    lane that no worker serves waits for ever."""
    worker_pool: Literal["threads", "prefork"] = "threads"
    """Celery's pool. Threads suffice, since decoding happens in sandbox children (docs/decisions)."""
    worker_heartbeat: Duration = timedelta(seconds=10)
    """Between two times that a worker process says it lives; three missed ones make it dead for `/readyz`,
    and for nothing else. Each is a commit, and with SQLite a sync of the disk, so it need not be shorter."""
    worker_dispatch_interval: Duration = timedelta(milliseconds=500)
    """Between two looks of the dispatcher at the jobs table; the API's ring is what makes a job start at
    once, this is what makes it certain."""
    worker_sweep_interval: Duration = timedelta(minutes=10)
    """Between two rounds of the sweeper."""
    worker_sweep_grace: Duration = timedelta(hours=1)
    """How old an object without a row must be before it counts as nobody's, and a file before its objects are
    looked for. Far longer than the moment between the last byte of an upload and its commit."""
    worker_max_source_bytes: Annotated[int, Field(ge=1)] = 512 * 1024**2
    """Size of an original that is processed at all; larger ones are kept and `failed`. Every job holds a copy
    of its original in the folder for temporary files, so this times the concurrency must fit there."""
    worker_max_image_pixels: Annotated[int, Field(ge=1)] = ImageLimits().max_pixels
    """Width times height; larger images are refused before they are decoded."""
    worker_sandbox_memory_bytes: Annotated[int, Field(ge=256 * 1024**2)] = SandboxLimits().memory_bytes
    """Address space of one decode."""
    worker_sandbox_wall_seconds: Annotated[float, Field(gt=0, le=3600)] = SandboxLimits().wall_seconds
    """Time that one decode may take."""

    @field_validator("worker_lanes", mode="before")
    @classmethod
    def _split_lanes(cls, value: Any) -> Any:
        return parse_lanes(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _grace_outlasts_claims(self) -> "WorkerSettings":
        """Else the first small file of a slow form could be swept before it is claimed."""
        if self.worker_sweep_grace <= self.upload_lease:
            raise ValueError("MEDIA_WORKER_SWEEP_GRACE must be longer than MEDIA_UPLOAD_LEASE")
        return self


def parse_lanes(text: str) -> tuple[str, ...]:
    """`uploads,render` as names; each must be a lane."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def load_worker_settings() -> WorkerSettings:
    """Raises MediaServiceError with one line that says what to change."""
    return load_section(WorkerSettings)
