"""What may be wrong with a request to a resumable upload. Core room.

Members with hyphens are spelled by the IETF draft (§7 of draft-ietf-httpbis-resumable-upload).
"""

from media_service.exceptions import ErrorKind, MediaServiceError


def upload_not_found() -> MediaServiceError:
    return MediaServiceError(ErrorKind.NOT_FOUND, "upload-not-found", "There is no such upload.")


def upload_expired() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.GONE, "upload-expired", "The upload was not continued in time. Begin a new one."
    )


def upload_locked() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.LOCKED,
        "upload-locked",
        "Another request of this upload is being ended. Try again in a moment.",
        retry_after_seconds=1,
    )


def upload_taken_over() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.CONFLICT, "upload-taken-over", "A newer request of this upload has ended this one."
    )


def offset_mismatch(*, expected: int, provided: int) -> MediaServiceError:
    members = {"expected-offset": expected, "provided-offset": provided}
    return MediaServiceError(
        ErrorKind.CONFLICT, "upload-offset-mismatch", f"The upload goes on at byte {expected}.", **members
    )


def inconsistent_length(detail: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.INVALID, "inconsistent-upload-length", detail)


def beyond_the_length(length_bytes: int) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.TOO_LARGE,
        "upload-exceeds-length",
        f"The upload was announced with {length_bytes} bytes, and more came.",
        limit_bytes=length_bytes,
    )


def checksum_mismatch() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.CHECKSUM_MISMATCH,
        "checksum-mismatch",
        "The bytes that arrived do not have the checksum that was sent with them. They were thrown away.",
    )


def bad_upload_header(name: str, detail: str) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.INVALID, "bad-upload-header", f"The header {name} {detail}.", header=name
    )


def final_upload() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.FORBIDDEN, "final-upload", "An upload that was joined of others takes no bytes of its own."
    )
