"""Settings of repeated requests. Core room."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from media_service.durations import Duration


class IdempotencySettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    idempotency_retention: Duration = timedelta(hours=24)
    """How long an Idempotency-Key is remembered. A client that repeats a request later makes a second file;
    longer keeps more rows, one for each request that brought a key."""
