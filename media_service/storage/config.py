"""Settings of where bytes are kept. Core room."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class StorageSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    storage: Literal["local", "s3"] = "local"
    """`local` keeps objects under the data directory, `s3` in a bucket."""
    storage_threads: Annotated[int, Field(ge=1, le=256)] = 16
    """Blocking storage calls at once per API process; more threads only help a storage with latency."""
