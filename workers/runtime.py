"""Composition root of a worker process: builds its singletons, once. Worker room."""

import threading
from uuid import UUID

from media_service.backends import create_storage
from media_service.blocking_database import Database
from media_service.uploads.policy import UploadPolicy
from workers.config import WorkerSettings, load_worker_settings
from workers.fetching.fetcher import Fetcher, FetchRules
from workers.jobs.context import ImportTools, JobContext
from workers.jobs.leases import LeaseKeeper
from workers.jobs.presence import Presence
from workers.jobs.run import run_job
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox
from workers.scratch import ScratchFolder


class Runtime:
    """What the tasks of one process share. Made after any fork and before any job."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._scratch = ScratchFolder()
        self._database = create_database(settings)
        self._sandbox = Sandbox(
            limits=SandboxLimits(
                memory_bytes=settings.worker_sandbox_memory_bytes,
                wall_seconds=settings.worker_sandbox_wall_seconds,
            ),
            image_limits=ImageLimits(max_pixels=settings.worker_max_image_pixels),
        )
        self._sandbox.start()
        self._keeper = LeaseKeeper(self._database, lease=settings.job_lease)
        self._keeper.start()
        self._presence = Presence(
            self._database, missing_layers=self._missing_layers, beat=settings.worker_heartbeat
        )
        self._presence.start()
        self._context = JobContext(
            database=self._database,
            storage=create_storage(settings.storage, s3=settings, data_dir=settings.data_dir),
            sandbox=self._sandbox,
            presets=settings.presets,
            scratch_root=self._scratch.path,
            max_source_bytes=settings.worker_max_source_bytes,
            imports=_import_tools(settings),
        )

    def run_job(self, job_id: UUID) -> None:
        run_job(job_id, self._context, self._keeper)

    def close(self) -> None:
        """Let go of everything; jobs that still run are left to their leases."""
        self._presence.close()
        self._keeper.close()
        self._sandbox.close()
        self._database.close()
        self._scratch.close()

    def _missing_layers(self) -> tuple[str, ...]:
        # Asked at every beat: a zygote that replaces another may find other walls.
        layers = self._sandbox.layers
        return layers.missing() if layers is not None else ()


def _import_tools(settings: WorkerSettings) -> ImportTools | None:
    if not settings.import_enabled:
        return None
    rules = FetchRules(
        ports=settings.import_ports,
        timeout=settings.import_timeout,
        idle_timeout=settings.import_idle_timeout,
    )
    return ImportTools(Fetcher(rules), UploadPolicy(settings.max_file_size, settings.allowed_types))


def create_database(settings: WorkerSettings) -> Database:
    # One connection per job at once, one for the leases, one to say that the process lives.
    return Database(settings.effective_database_url, pool_size=settings.worker_concurrency + 2)


_lock = threading.Lock()
_runtime: Runtime | None = None


def get_runtime() -> Runtime:
    """The runtime of this process, made at the first call."""
    global _runtime  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _runtime is None:
            _runtime = Runtime(load_worker_settings())
        return _runtime


def close_runtime() -> None:
    """Undo `get_runtime`; the process is about to end."""
    global _runtime  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _runtime is not None:
            _runtime.close()
            _runtime = None
