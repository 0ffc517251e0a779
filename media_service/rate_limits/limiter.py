"""Counts requests and refuses those that are too many. API room.

Not every request asks Redis: while a client has used less than half of its limit, those that follow each
other closely are counted together, by the next one that asks. A process keeps back a hundredth of a limit at
most, so that is what each can let through beyond it. Limits under a hundred, such as those against guessing,
are exact.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.counts import MAX_KEYS, Counts, CountsUnavailableError, LocalCounts
from media_service.rate_limits.fields import Standing
from media_service.rate_limits.subjects import Subject
from media_service.rate_limits.window import Limit, Window

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 0.1
"""Requests of one client that come within this are counted together. Longer saves little more."""
KEPT_BACK = 100
"""The part of a limit that a process may have let pass uncounted: one in so many. More of them cost more
questions; fewer let more through."""


@dataclass(slots=True)
class _Tally:
    """What this process knows of one client and one limit."""

    window: int = -1
    previous: int = 0
    current: int = 0
    asked_at: float = -math.inf
    uncounted: int = 0
    closed_until: float = -math.inf
    said_at: float = -math.inf


class RateLimiter:
    """One per process. With `counts` shared by all processes, they share the limits."""

    def __init__(
        self, counts: Counts, limits: Mapping[RateClass, Limit | None], clock: Callable[[], float] = time.time
    ) -> None:
        self._counts = counts
        self._fallback = LocalCounts()
        self._limits = limits
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}

    async def charge(self, rate_class: RateClass, subject: Subject) -> Standing | None:
        """Count a request. None where no limit holds, or where a known client is not counted in an outage.

        Strangers are then counted in this process. Raises MediaServiceError (rate limited).
        """
        limit = self._limits.get(rate_class)
        if limit is None:
            return None
        now = self._clock()
        window, tally = Window.at(limit, now), self._tally(rate_class, subject)
        _check_open(tally, rate_class, limit, now)
        if _may_wait(tally, window, now):
            tally.uncounted += 1
            current = tally.current + tally.uncounted
        else:
            key = f"{rate_class}:{subject.digest}:{limit.window_seconds}"
            try:
                current = await self._count(self._counts, key, tally, window)
            except CountsUnavailableError:
                if subject.is_known:
                    return None
                current = await self._count(self._fallback, key, tally, window)
            tally.asked_at = now
        if not window.has_room(tally.previous, current):
            tally.closed_until = now + window.seconds_until_room(tally.previous, current)
            _say_closed(tally, rate_class, limit, now)
            _check_open(tally, rate_class, limit, now)
        remaining = window.remaining(tally.previous, current)
        reset = window.left_seconds if remaining else window.seconds_until_room(tally.previous, current)
        return Standing(rate_class.value, limit, remaining, max(1, math.ceil(reset)))

    def has_limit(self, rate_class: RateClass) -> bool:
        return self._limits.get(rate_class) is not None

    def is_open(self, rate_class: RateClass, subject: Subject) -> bool:
        """Count nothing. False for whom was refused here a moment ago."""
        try:
            self.check_open(rate_class, subject)
        except MediaServiceError:
            return False
        return True

    def check_open(self, rate_class: RateClass, subject: Subject) -> None:
        """Count nothing. Raises MediaServiceError (rate limited) for whom was refused here a moment ago."""
        limit = self._limits.get(rate_class)
        tally = self._tallies.get(_name(rate_class, subject))
        if limit is not None and tally is not None:
            _check_open(tally, rate_class, limit, self._clock())

    async def _count(self, counts: Counts, key: str, tally: _Tally, window: Window) -> int:
        """Count this request and those that were kept back; returns the window's count."""
        cost, tally.uncounted = tally.uncounted + 1, 0
        # The counter of a window that is over does not change any more, so it is read once.
        is_first = tally.window != window.index
        previous = await counts.get(f"{key}:{window.index - 1}") if is_first else tally.previous
        current = await counts.add(
            f"{key}:{window.index}", cost, lifetime_seconds=2 * window.limit.window_seconds
        )
        if tally.window <= window.index:  # else another request is further than this one
            is_newest = tally.window < window.index or current > tally.current
            tally.window, tally.previous = window.index, previous
            tally.current = current if is_newest else tally.current
        return current

    def _tally(self, rate_class: RateClass, subject: Subject) -> _Tally:
        name = _name(rate_class, subject)
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally()
            if len(self._tallies) > MAX_KEYS:
                del self._tallies[next(iter(self._tallies))]
        return tally


def _name(rate_class: RateClass, subject: Subject) -> str:
    return f"{rate_class}:{subject.digest}"


def _may_wait(tally: _Tally, window: Window, now: float) -> bool:
    amount = window.limit.amount
    return (
        tally.window == window.index
        and now - tally.asked_at < CLOSE_SECONDS
        and tally.uncounted < amount // KEPT_BACK
        and window.used(tally.previous, tally.current + tally.uncounted) < amount / 2
    )


def _say_closed(tally: _Tally, rate_class: RateClass, limit: Limit, now: float) -> None:
    """Once in a window: of a large limit a part comes back every few milliseconds."""
    if now - tally.said_at >= limit.window_seconds:
        tally.said_at = now
        log.info("rate_limits.closed", policy=rate_class.value, seconds=math.ceil(tally.closed_until - now))


def _check_open(tally: _Tally, rate_class: RateClass, limit: Limit, now: float) -> None:
    # Further away it cannot be: then the clock was set back.
    if 0 < tally.closed_until - now <= 2 * limit.window_seconds:
        raise MediaServiceError(
            ErrorKind.RATE_LIMITED,
            "rate-limited",
            f"At most {limit.amount} requests of this class may come in {limit.window_seconds} seconds.",
            policy=rate_class.value,
            limit=limit.amount,
            window_seconds=limit.window_seconds,
            retry_after_seconds=max(1, math.ceil(tally.closed_until - now)),
        )
