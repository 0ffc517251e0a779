"""Who may see a file, and in which state it may be downloaded. Core room."""

from media_service.auth.scopes import Caller, Scope
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import DIGEST_MISMATCH, FileStatus, Visibility
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
    if file.visibility is Visibility.PUBLIC:
        return True
    return caller is not None and caller.has(Scope.FILES_READ) and caller.may_see(file.owner_id)


def check_downloadable(file: File) -> None:
    """Raises MediaServiceError: forbidden for a quarantined file, conflict for bytes of a wrong digest."""
    check_digest(file)
    if file.status is FileStatus.QUARANTINED:
        raise MediaServiceError(
            ErrorKind.FORBIDDEN, "quarantined", "The file was found to be harmful and cannot be downloaded."
        )


def check_digest(file: File) -> None:
    """Raises MediaServiceError (conflict) for a file that has not the digest that its uploader announced."""
    if file.status is FileStatus.FAILED and file.status_code == DIGEST_MISMATCH:
        raise digest_mismatch(ErrorKind.CONFLICT)


def digest_mismatch(kind: ErrorKind) -> MediaServiceError:
    """What there is to say of a file whose bytes were found to be others than announced."""
    return MediaServiceError(
        kind,
        DIGEST_MISMATCH,
        "The bytes that arrived have not the SHA-256 that was announced. Delete the file and upload again.",
    )
