"""What a job is given to work with. Worker room."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from media_service.blocking_database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.jobs.models import JobKind
from media_service.storage.port import Storage
from media_service.transforms.spec import Preset
from media_service.uploads.policy import UploadPolicy
from workers.fetching.fetcher import Fetcher
from workers.processing.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class ImportTools:
    """For files that come from other servers."""

    fetcher: Fetcher
    policy: UploadPolicy


@dataclass(frozen=True, slots=True)
class JobContext:
    """The tools of one worker process, shared by its threads."""

    database: Database
    storage: Storage
    sandbox: Sandbox
    presets: tuple[Preset, ...]
    scratch_root: Path
    """Where each job gets a directory of its own."""
    max_source_bytes: int
    """The largest original that is fetched."""
    imports: ImportTools | None = None
    """None where imports are off."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this process holds a lease on. `token` fences every write that ends it."""

    id: UUID
    kind: JobKind
    token: UUID
    owner_id: UUID
    file_id: UUID | None
    payload: dict[str, Any]
    attempts: int
    deferrals: int
    crashes: int
    max_attempts: int


class LeaseLostError(MediaServiceError):
    """Another attempt has taken over; whatever this one made must not be published."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.CONFLICT, "lease-lost", "Another attempt has taken over this job.")


class FileGoneError(MediaServiceError):
    """The file of this job was deleted meanwhile; there is nothing left to do."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.GONE, "file-gone", "The file was deleted.")
