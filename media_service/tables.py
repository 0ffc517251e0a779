"""Every table of the service. Core room.

Foreign keys name tables of other domains, so whoever talks to the database needs all of them known.
"""

from media_service.auth.models import (
    ApiKey,
    LoginSession,
    RefreshToken,
    SigningKey,
    TokenKey,
    UploadToken,
    User,
)
from media_service.direct.models import DirectPart, DirectUpload
from media_service.events.models import Event
from media_service.files.models import File, FileTerm, Rendition
from media_service.idempotency.models import IdempotencyKey
from media_service.jobs.models import Job, Lease, WorkerProcess
from media_service.models import Base
from media_service.uploads.models import UploadPart, UploadSession

__all__ = [
    "ApiKey",
    "Base",
    "DirectPart",
    "DirectUpload",
    "Event",
    "File",
    "FileTerm",
    "IdempotencyKey",
    "Job",
    "Lease",
    "LoginSession",
    "RefreshToken",
    "Rendition",
    "SigningKey",
    "TokenKey",
    "UploadPart",
    "UploadSession",
    "UploadToken",
    "User",
    "WorkerProcess",
]
