"""Settings of resumable uploads. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from media_service.durations import Duration


class ResumableSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    resumable_ttl: Duration = timedelta(hours=24)
    """How long an unfinished resumable upload is kept after its last request, and a finished one remembers
    its file. Longer lets people resume after a weekend; shorter frees the bytes of those who never do."""
    resumable_lock_lease: Duration = timedelta(seconds=15)
    """How long the lock of an upload outlives its process: what a resume may have to wait after a crash.
    Shorter than three heartbeats of a busy process would take locks from live requests."""
    resumable_lock_wait: Duration = timedelta(seconds=20)
    """How long a request waits for one that works on the same upload to let go; then 423. Longer than the
    lease, so that a resume after a crash needs no second try."""
    resumable_max_append: Annotated[int | None, Field(ge=1)] = None
    """Bytes that one request may append, told to clients of the IETF draft as `max-append-size`. None: any
    number. Set it to what a proxy in front lets through (100 MB with some)."""
    resumable_interop_versions: Annotated[tuple[int, ...], NoDecode] = (5, 6, 7, 8, 9, 10)
    """Versions of the IETF draft (`Upload-Draft-Interop-Version`) that are answered, comma-separated."""

    @field_validator("resumable_interop_versions", mode="before")
    @classmethod
    def _split_versions(cls, value: Any) -> Any:
        return (
            tuple(item.strip() for item in value.split(",") if item.strip())
            if isinstance(value, str)
            else value
        )
