"""What counts requests, and the one that does so in this process alone. API room."""

import time
from collections.abc import Callable
from typing import Protocol

MAX_KEYS = 20_000
"""Of a process's own memory: a few megabytes. The oldest are forgotten first."""


class CountsUnavailableError(Exception):
    """Redis cannot be asked, or was not a moment ago."""


class Counts(Protocol):
    """Numbers by key, each with an expiry. Raises CountsUnavailableError if it cannot count now."""

    async def add(self, key: str, amount: int, *, lifetime_seconds: int) -> int:
        """Add to a number and return it; a key lives from its first use."""

    async def get(self, key: str) -> int:
        """The number, 0 for an unknown key."""


class LocalCounts:
    """In this process: for as long as Redis is away.

    The memory storage of `limits` looks at all keys on each use, which an attacker with many addresses could
    turn into work; this one never does.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._numbers: dict[str, tuple[int, float]] = {}
        self._clock = clock

    async def add(self, key: str, amount: int, *, lifetime_seconds: int) -> int:
        number, ends_at = self._live(key) or (0, self._clock() + lifetime_seconds)
        self._numbers[key] = (number + amount, ends_at)
        if len(self._numbers) > MAX_KEYS:
            del self._numbers[next(iter(self._numbers))]
        return number + amount

    async def get(self, key: str) -> int:
        number, _ = self._live(key) or (0, 0.0)
        return number

    def _live(self, key: str) -> tuple[int, float] | None:
        found = self._numbers.get(key)
        if found is not None and found[1] <= self._clock():
            del self._numbers[key]
            return None
        return found
