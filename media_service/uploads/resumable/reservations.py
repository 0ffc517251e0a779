"""Where resumable uploads meet the quota of their owner: three moments, one place. Core room.

Nothing is counted yet; whoever counts changes this file alone. Each function runs inside the transaction
that makes the change it is about, and refuses with a MediaServiceError `quota-exceeded`.
"""

from sqlalchemy.orm import Session

from media_service.auth.scopes import Caller
from media_service.uploads.models import UploadSession


def reserve_at_creation(session: Session, caller: Caller, row: UploadSession) -> None:
    """Before a new session is inserted; its `length_bytes` is None if the client will say it later."""


def reserve_growth(session: Session, caller: Caller, row: UploadSession, *, at_least_bytes: int) -> None:
    """When the length of a session becomes known, or its bytes outgrow what was reserved."""


def settle(session: Session, row: UploadSession) -> None:
    """When the file of a session is inserted, in the same transaction.

    Sessions that are deleted need no word: what they reserved goes with their row.
    """
