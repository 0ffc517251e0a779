"""What becomes of a request whose user is deleted while it runs. Core room."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from media_service.dialects import is_of_foreign_key
from media_service.exceptions import ErrorKind, MediaServiceError


def owner_lost() -> MediaServiceError:
    """The answer that the credential will get from now on."""
    return MediaServiceError(
        ErrorKind.UNAUTHENTICATED,
        "invalid-credentials",
        "The user of this credential was deleted while the request was on its way.",
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
