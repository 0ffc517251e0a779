"""Settings of how patient the service is with clients. Core room."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from media_service.durations import Duration, DurationOrNone


class HttpSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Connections at once per API process; the next is answered with 503. Also bounded by the process's limit
    of open files, less what storage and database need. Each costs about 10 KiB while it is idle."""
    header_timeout: Duration = timedelta(seconds=10)
    """From the first byte of a request to the end of its head. Shorter cuts off bad networks, longer lets
    clients that never finish a head hold more connections."""
    body_idle_timeout: Duration = timedelta(seconds=30)
    """How long a client may send nothing in the middle of a body. Longer keeps dead uploads; a phone that
    changes networks is silent for some seconds."""
    body_min_rate: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """Bytes per second that a body must bring on average, once it took longer than the idle timeout; 0: any.
    A client that drips a byte at a time would hold a connection for ever. Half of what a slow link gives."""
    shutdown_grace: Duration = timedelta(seconds=25)
    """How long running requests may take to end after SIGTERM; then they are cut and cleaned up."""
    shutdown_delay: DurationOrNone = timedelta(0)
    """How long `/readyz` says no before the service stops to take connections: what a load balancer needs to
    notice. It counts before the grace."""
