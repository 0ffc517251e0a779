"""Timers and bounds of jobs, which both processes must agree on. Core room."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from media_service.durations import Duration


class JobSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    job_lease: Duration = timedelta(seconds=15)
    """After this silence a worker counts as dead and its job is tried again; renewed three times as often.
    Shorter finds the dead sooner, and takes jobs from workers that only paused."""
    job_max_attempts: Annotated[int, Field(ge=1, le=100)] = 20
    """Starts of one job that ended in anything but an outage, which is waited for without end. High, since a
    photo must survive many restarts of workers; a file that kills its sandbox is given up much earlier
    (`workers/retries.py`)."""
    job_resend_after: Duration = timedelta(seconds=5)
    """A message that was sent and not claimed for this long is taken for lost."""
    lane_window: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Messages that may wait in a lane: about four times the jobs that run at once. Keeps Redis small under
    a million queued jobs, and a cancel real."""
