"""What may be uploaded. Core room: decides, reads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.uploads.limits import MAX_FIELD_BYTES, MAX_PARTS


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """Limits of one file. `allowed_types` holds patterns such as image/png, image/* or */*."""

    max_file_size_bytes: int
    allowed_types: Sequence[str]
    max_files: int | None = None
    """Of one request; bounded by an upload token alone (`grants.py`)."""

    def check_size(self, size_bytes: int) -> None:
        """Raises MediaServiceError (too large); for a declared length and for bytes counted so far alike."""
        if size_bytes > self.max_file_size_bytes:
            raise MediaServiceError(
                ErrorKind.TOO_LARGE,
                "file-too-large",
                f"A file may have at most {self.max_file_size_bytes} bytes.",
                limit_bytes=self.max_file_size_bytes,
            )

    def check_count(self, files: int) -> None:
        """Raises MediaServiceError (forbidden) for more files than an upload token is still good for."""
        if self.max_files is not None and files > self.max_files:
            raise token_exhausted(self.max_files)

    def check_form_size(self, declared_bytes: int) -> None:
        """Raises MediaServiceError (too large) for a declared length that no allowed form can have.

        How many files a form holds is known only as it is read; each of them is then checked by itself.
        """
        if declared_bytes > MAX_PARTS * (self.max_file_size_bytes + MAX_FIELD_BYTES):
            self.check_size(declared_bytes)

    def check_type(self, content_type: str) -> None:
        """Raises MediaServiceError (unsupported type) for a sniffed type that is not on the list."""
        family = content_type.split("/", maxsplit=1)[0]
        if not {content_type, f"{family}/*", "*/*"}.intersection(self.allowed_types):
            raise MediaServiceError(
                ErrorKind.UNSUPPORTED_TYPE,
                "unsupported-media-type",
                f"The content is of the type {content_type}, which is not accepted here.",
                content_type=content_type,
                allowed_types=list(self.allowed_types),
            )


def token_exhausted(remaining_files: int) -> MediaServiceError:
    detail = "This upload token is used up."
    if remaining_files > 0:
        detail = f"This upload token is good for fewer files than this request has: {remaining_files}."
    return MediaServiceError(
        ErrorKind.FORBIDDEN, "upload-token-exhausted", detail, remaining_files=remaining_files
    )
