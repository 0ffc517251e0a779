"""Translates what boto3 raises into storage errors, at one border. Worker room.

The new error's public text names no bucket, endpoint or key; the cause, which does, goes to the log only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from media_service.storage.exceptions import (
    ObjectNotFoundError,
    PartsMismatchError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)

_MISSING = frozenset({"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound", "404"})
"""HEAD has no body, so its 404 has only the status. NoSuchBucket is not here: then nothing can be found,
which is a failure of the set-up and must not look like a deleted file."""

_FULL = frozenset(
    {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
)
"""Ceph answers QuotaExceeded with 403, MinIO its two with 507 and 400."""

_PARTS_MISMATCH = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})
"""S3 API, CompleteMultipartUpload, "Errors"."""


class RetryTimeOverError(BotoCoreError):
    """All attempts so far failed, and there is no time for one more (`s3_retry_seconds`)."""

    fmt = "no attempt succeeded in the time for attempts"


@contextmanager
def translating_s3_errors(key: str = "") -> Iterator[None]:
    """Raise a StorageError in place of what boto3 or urllib3 (while a body is read) raises.

    A ParamValidationError passes: it is our own mistake, and no storage is at fault.
    """
    try:
        yield
    except ClientError as error:
        raise to_storage_error(error, key) from error
    except ParamValidationError:
        raise
    except (BotoCoreError, HTTPError, OSError) as error:
        raise StorageUnavailableError from error


def error_code(error: ClientError) -> str:
    """The S3 error code, or the status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def to_storage_error(error: ClientError, key: str) -> StorageError:
    """The storage error for an answer of S3. What is not known here is taken to pass: UNAVAILABLE."""
    code = error_code(error)
    if code in _MISSING:
        return ObjectNotFoundError(key)
    if code in _FULL or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 507:
        return StorageFullError()
    if code in _PARTS_MISMATCH:
        return PartsMismatchError()
    return StorageUnavailableError()
