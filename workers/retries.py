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
"""A sandbox that dies may mean a machine in trouble; three times it means the file."""
MAX_UNREACHABLE = 8
"""Two minutes of another server's trouble; after that a person should look at the URL."""
MAX_DAMAGED = 6
"""Half a minute of wrong bytes may be a store in trouble; what comes back wrong after that is lost."""


@dataclass(frozen=True, slots=True)
class History:
    """What became of a job's attempts, this one counted among `attempts` and nowhere else yet."""

    attempts: int
    """Deferrals are not among them."""
    max_attempts: int
    crashes: int = 0
    deferrals: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay`; the attempt was a crash, or only found a dependency away."""

    delay: timedelta
    is_crash: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Trying again would not help: the work itself cannot be done."""


@dataclass(frozen=True, slots=True)
class Bury:
    """Tried as often as allowed: a dead letter."""


Verdict = Retry | GiveUp | Bury

TRANSIENT = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL, ErrorKind.CONFLICT})
"""Kinds that lie in the surroundings and pass by themselves."""


LIMITS: dict[ErrorKind | None, int] = {
    ErrorKind.CRASHED: MAX_CRASHES,
    ErrorKind.DAMAGED: MAX_DAMAGED,
    ErrorKind.UNREACHABLE: MAX_UNREACHABLE,
    # An error that nobody foresaw may pass too, but is tried no more often than a crash.
    None: MAX_CRASHES,
}
"""How often a job may end badly by itself, by the kind of the last such end."""


def judge(error: Exception, history: History) -> Verdict:
    """The fate of a job whose attempt ended with `error`.

    An outage is waited for as long as it lasts: no photo is `failed` because something else was away.
    """
    kind = error.kind if isinstance(error, MediaServiceError) else None
    if kind in TRANSIENT:
        return Retry(delay_after(history.deferrals + 1), is_crash=False)
    if kind not in LIMITS:
        return GiveUp()
    crashes = history.crashes + 1
    if crashes >= LIMITS[kind] or history.attempts >= history.max_attempts:
        return Bury()
    return Retry(delay_after(crashes), is_crash=True)


def delay_after(times: int) -> timedelta:
    """Doubling from one second to a minute; a quarter of it random, so that many do not return at once."""
    doubled: timedelta = min(FIRST_DELAY * 2 ** min(times - 1, 16), MAX_DELAY)
    return doubled * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, protects nothing
