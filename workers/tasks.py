"""The Celery shell: takes a message, hands its id on. Everything else is in `jobs/`."""

from uuid import UUID

import structlog

from media_service.broker.messages import RENDER, RUN_JOB
from media_service.exceptions import MediaServiceError
from workers.app import app
from workers.runtime import get_runtime

log = structlog.get_logger(__name__)


@app.task(name=RUN_JOB)
def run_job(job_id: str) -> None:
    """Run one job of the jobs table."""
    try:
        get_runtime().run_job(UUID(job_id))
    except MediaServiceError as error:
        # The row is as it was; the dispatcher sends it again when its time has come.
        log.warning("job.not_run", job_id=job_id, code=error.code)


@app.task(name=RENDER)
def render(file_id: str, digest: str) -> None:
    """Make one image on the fly."""
    try:
        get_runtime().render(UUID(file_id), digest)
    except MediaServiceError as error:
        # Whoever waits for it, or asks next, sends another message.
        log.warning("render.not_run", file_id=file_id, digest=digest, code=error.code)
