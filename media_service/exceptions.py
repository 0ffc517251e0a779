"""The one tree of expected errors. Core room: no HTTP here, no retry rules.

`web/problems.py` maps a kind to a status, `workers/retries.py` maps a kind to "again" or "give up".
"""

from enum import StrEnum
from typing import Any


class ErrorKind(StrEnum):
    """What sort of thing went wrong, in words that both processes understand."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    GONE = "gone"
    LOCKED = "locked"
    TIMED_OUT = "timed_out"
    """The client did not go on in time."""
    PRECONDITION_FAILED = "precondition_failed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_TYPE = "unsupported_type"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMITED = "rate_limited"
    """The client asks too often."""
    CHECKSUM_MISMATCH = "checksum_mismatch"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    """Another server, which is not ours, does not answer as it should. Tried a few times."""
    STORAGE_FULL = "storage_full"
    QUOTA_EXCEEDED = "quota_exceeded"
    """Only its owner, or an admin, can make room."""
    DAMAGED = "damaged"
    """The storage gave other bytes than it was given."""
    CRASHED = "crashed"
    """A sandbox child died or ran out of time: perhaps the file, perhaps the machine. Tried a few times."""


class MediaServiceError(Exception):
    """An error that somebody can act on.

    `code` is a stable slug that clients may switch on, `detail` is a public sentence, `members` are typed
    extra members of the problem (RFC 9457 §3.2). What must stay private belongs in the exception's cause.
    """

    def __init__(self, kind: ErrorKind, code: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = code
        self.detail = detail
        self.members = members

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind}, {self.code!r}, {self.detail!r})"
