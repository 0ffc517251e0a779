"""Conditional requests (RFC 9110 §13). Core room: headers in, a verdict out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from media_service.exceptions import ErrorKind, MediaServiceError

_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a representation from another; `etag` has its quotes, and `W/` if it is weak.

    Without `modified_at` the conditions on dates are ignored (§13.1.3, §13.1.4).
    """

    etag: str
    modified_at: datetime | None = None

    @property
    def last_modified(self) -> str:
        """The time in whole seconds, in the form of HTTP; empty if it is not known."""
        seconds = self._seconds()
        return format_datetime(seconds, usegmt=True) if seconds is not None else ""

    def check(self, headers: Mapping[str, str]) -> bool:
        """Evaluate the preconditions of a GET or HEAD in the order of §13.2.2; True means "not modified".

        Raises MediaServiceError (precondition failed).
        """
        if (if_match := headers.get("if-match")) is not None:
            if not self._listed_in(if_match, weak=False):
                raise precondition_failed()
        elif self._is_after(_http_date(headers.get("if-unmodified-since"))):
            raise precondition_failed()
        if (if_none_match := headers.get("if-none-match")) is not None:
            return self._listed_in(if_none_match, weak=True)
        since = _http_date(headers.get("if-modified-since"))
        return since is not None and self.modified_at is not None and not self._is_after(since)

    def allows_range(self, if_range: str | None) -> bool:
        """Whether a Range may be answered, given If-Range (§13.1.5): strong tag, or the exact date."""
        if if_range is None:
            return True
        if if_range.startswith(('"', "W/")):
            return if_range == self.etag
        return _http_date(if_range) == self._seconds()

    def _listed_in(self, header: str, *, weak: bool) -> bool:
        if header.strip() == "*":
            return True
        own = self.etag.removeprefix("W/")
        found = _ENTITY_TAG.findall(header)
        return any(tag == own and (weak or not (is_weak or own != self.etag)) for is_weak, tag in found)

    def _is_after(self, date: datetime | None) -> bool:
        seconds = self._seconds()
        return date is not None and seconds is not None and seconds > date

    def _seconds(self) -> datetime | None:
        return self.modified_at.astimezone(UTC).replace(microsecond=0) if self.modified_at else None


def precondition_failed() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.PRECONDITION_FAILED,
        "precondition-failed",
        "The resource is not in the state that was asked for.",
    )


def _http_date(header: str | None) -> datetime | None:
    """A date of HTTP; None for what is none, which is then ignored (§13.1.3)."""
    if header is None:
        return None
    try:
        parsed = parsedate_to_datetime(header)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
