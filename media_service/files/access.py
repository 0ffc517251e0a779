"""Who may see a file, and in which state it may be downloaded. Core room."""

from media_service.auth.scopes import Caller, Scope
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import FileStatus, Visibility
from media_service.files.models import File


def file_not_found() -> MediaServiceError:
    """One answer for "no such file" and "not yours": a caller must not learn which it is."""
    return MediaServiceError(ErrorKind.NOT_FOUND, "not-found", "There is no such file.")


def checked_owner(file: File | None, caller: Caller) -> File:
    """The file, if the caller owns it or is an admin. Raises MediaServiceError (not found)."""
    if file is None or not caller.may_see(file.owner_id):
        raise file_not_found()
    return file


def may_read(file: File, caller: Caller | None) -> bool:
    """Whether a caller, or nobody, may read the bytes of a file."""
    return file.visibility is Visibility.PUBLIC or may_sign(file, caller)


def may_sign(file: File, caller: Caller | None) -> bool:
    """Whether a caller may read a file however visible it is, and so may give it away by signed URLs."""
    return caller is not None and caller.has(Scope.FILES_READ) and caller.may_see(file.owner_id)


def check_downloadable(file: File) -> None:
    """Raises MediaServiceError (forbidden) for a quarantined file."""
    if file.status is FileStatus.QUARANTINED:
        raise MediaServiceError(
            ErrorKind.FORBIDDEN, "quarantined", "The file was found to be harmful and cannot be downloaded."
        )
