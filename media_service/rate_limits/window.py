"""The arithmetic of a sliding window that is counted in two numbers. Core room.

Windows lie side by side on the clock, and each has one counter; of the one before counts the share that a
window of full length, ending now, still covers. Beside the alternatives: a fixed window lets twice the limit
through around its edge, a log of all times costs memory by the limit and not by the client. The price is an
estimate: it takes the requests of the last window as spread evenly.
"""

import math
from dataclasses import dataclass
from typing import Self

ROUNDING = 1e-6
"""Requests: what a float may be off, so that who waits as long as was asked is let in."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds."""

    amount: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Window:
    """Where a moment lies in the windows of a limit."""

    limit: Limit
    index: int
    elapsed_seconds: float

    @classmethod
    def at(cls, limit: Limit, now: float) -> Self:
        """`now` is the time of the wall clock, which all processes share."""
        index = int(now // limit.window_seconds)
        return cls(limit, index, now - index * limit.window_seconds)

    @property
    def left_seconds(self) -> float:
        return self.limit.window_seconds - self.elapsed_seconds

    def used(self, previous: int, current: int) -> float:
        """Requests that count now, of the counts of the window before and of this one.

        Refused requests are counted too, but never beyond the limit: who hammers is not kept out for longer
        than who waits.
        """
        weight = self.left_seconds / self.limit.window_seconds
        return min(previous, self.limit.amount) * weight + current

    def has_room(self, previous: int, current: int) -> bool:
        """Whether a request that is in `current` already may pass."""
        return self.used(previous, current) <= self.limit.amount + ROUNDING

    def seconds_until_room(self, previous: int, current: int) -> float:
        """Until one more request may pass, if none comes meanwhile."""
        amount, length = self.limit.amount, self.limit.window_seconds
        if current + 1 > amount:
            # Not in this window; in the next one, `amount` of this one count at its beginning.
            return self.left_seconds + length / amount
        share = (amount - 1 - current) / max(1, min(previous, amount))
        return max(0.0, self.left_seconds - min(1.0, share) * length)

    def remaining(self, previous: int, current: int) -> int:
        return max(0, math.floor(self.limit.amount - self.used(previous, current) + ROUNDING))
