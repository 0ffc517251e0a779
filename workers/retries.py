"""What an error means for a job: try again, and when, or give up. Pure: decides, does nothing.

The one place where a kind of error becomes a fate; `web/problems.py` is its counterpart for HTTP.
"""

import random
from dataclasses import dataclass
from datetime import timedelta

from media_service.exceptions import ErrorKind, MediaServiceError

FIRST_DELAY = timedelta(seconds=1)
MAX_DELAY = timedelta(seconds=60)
"""Outages last minutes; waiting longer than this only makes users wait after one ended."""

MAX_CRASHES = 3
"""A sandbox that dies may mean a machine in trouble; three times in a row it means the file."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay`."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Trying again would not help: the work itself cannot be done."""


@dataclass(frozen=True, slots=True)
class Bury:
    """Tried as often as allowed: a dead letter."""


Verdict = Retry | GiveUp | Bury

TRANSIENT = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL, ErrorKind.CONFLICT})
"""Kinds that lie in the surroundings and pass by themselves."""


def judge(error: Exception, *, attempts: int, max_attempts: int) -> Verdict:
    """The fate of a job whose attempt number `attempts` (from 1) ended with `error`."""
    kind = error.kind if isinstance(error, MediaServiceError) else None
    if kind is not None and kind is not ErrorKind.CRASHED and kind not in TRANSIENT:
        return GiveUp()
    # An error that nobody foresaw may pass too, but is tried no more often than a crash.
    allowed = max_attempts if kind in TRANSIENT else min(max_attempts, MAX_CRASHES)
    return Retry(delay_after(attempts)) if attempts < allowed else Bury()


def delay_after(attempts: int) -> timedelta:
    """Doubling from one second to a minute; a quarter of it random, so that many do not return at once."""
    doubled: timedelta = min(FIRST_DELAY * 2 ** min(attempts - 1, 16), MAX_DELAY)
    return doubled * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, protects nothing
