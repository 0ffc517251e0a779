"""What any storage may raise. Core room."""

from media_service.exceptions import ErrorKind, MediaServiceError


class StorageError(MediaServiceError):
    """A storage could not do what it was asked."""


class ObjectNotFoundError(StorageError):
    """No object has this key (or no multipart upload has this id)."""

    def __init__(self, key: str) -> None:
        super().__init__(ErrorKind.NOT_FOUND, "object-not-found", "The stored object does not exist.")
        self.key = key


class StorageUnavailableError(StorageError):
    """The storage did not answer, or answered that it cannot now. Trying again later may help."""

    def __init__(self) -> None:
        super().__init__(
            ErrorKind.UNAVAILABLE, "storage-unavailable", "The storage does not answer; try again later."
        )


class UploadLostError(StorageError):
    """An upload that was on its way is not known any more: it was given up for dead, and swept."""

    def __init__(self) -> None:
        super().__init__(
            ErrorKind.UNAVAILABLE,
            "upload-interrupted",
            "The service paused for so long that the upload was given up; send it again.",
        )


class StorageFullError(StorageError):
    """No room is left on the device."""

    def __init__(self) -> None:
        super().__init__(ErrorKind.STORAGE_FULL, "storage-full", "The storage has no room left.")


class PartsMismatchError(StorageError):
    """The parts of a multipart upload do not make up an object (missing, of a wrong size, or altered)."""

    def __init__(self) -> None:
        super().__init__(
            ErrorKind.CONFLICT, "upload-parts-mismatch", "The parts of this upload do not fit together."
        )
