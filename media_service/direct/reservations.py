"""Where a direct upload takes its place in its owner's quota. Core room: inside somebody's transaction."""

from datetime import timedelta

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.dialects import later_ms
from media_service.direct.models import DirectUpload
from media_service.uploads.models import UploadSession

AFTER_EXPIRY = timedelta(hours=1)
"""How long the claim on the bytes outlives the last moment at which a completion may begin: the largest takes
S3 minutes, and the sweeper must not take its bytes meanwhile."""

PROTOCOL = "direct"


def reserve(session: Session, caller: Caller, upload: DirectUpload, *, lifetime: timedelta) -> None:
    """Insert an upload with its session, which reserves what it announced until it is stored or gone.

    The one place where direct uploads (and Companion's) reserve.
    """
    session.add(
        UploadSession(
            id=upload.session_id,
            owner_id=caller.owner_id,
            protocol=PROTOCOL,
            reserved_bytes=upload.size_bytes or 0,
            reserved_files=1,
            # No process renews it: the upload lives without one.
            lease_until_ms=later_ms(lifetime + AFTER_EXPIRY),
        )
    )
    session.flush()
    session.add(upload)
