"""What becomes of a request whose user or credential is taken away while it runs. Core room."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from media_service.auth.queries import UNREVOKED_CREDENTIAL
from media_service.auth.scopes import Caller
from media_service.dialects import is_of_foreign_key
from media_service.exceptions import ErrorKind, MediaServiceError


def owner_lost() -> MediaServiceError:
    """The answer that the credential will get from now on."""
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "invalid-credentials",
        "The user of this credential was deleted while the request was on its way.",
    )


def owner_disabled() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "invalid-credentials",
        "The owner of these files was disabled while they were on their way.",
    )


def check_not_revoked(session: Session, caller: Caller) -> None:
    """Inside the transaction that makes what the caller asked for, where that may have taken hours.

    Raises MediaServiceError (unauthenticated).
    """
    if caller.upload_token is not None:
        return  # `uploads/grants.py` asks for it
    parameters = {"credential_id": caller.credential_id}
    if session.execute(UNREVOKED_CREDENTIAL, parameters).first() is None:
        raise MediaServiceError(
            ErrorKind.UNAUTHENTICATED,
            "invalid-credentials",
            "The credential was revoked while the request was on its way.",
        )


@contextmanager
def needing_owner() -> Iterator[None]:
    """Around a transaction whose rows refer to nothing that may go but their owner.

    Raises MediaServiceError (unauthenticated) if the owner is gone.
    """
    try:
        yield
    except IntegrityError as error:
        if not is_of_foreign_key(error):
            raise
        raise owner_lost() from error
