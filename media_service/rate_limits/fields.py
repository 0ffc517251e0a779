"""The header fields `RateLimit` and `RateLimit-Policy`. Core room.

draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields (RFC 9651), one item for each policy. A
partition key (`pk`) is not given: a client has one credential and knows which.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from media_service.rate_limits.window import Limit


@dataclass(frozen=True, slots=True)
class Standing:
    """How a client stands with a policy, its request of now included."""

    policy: str
    limit: Limit
    remaining: int
    reset_seconds: int
    """Until there is more: the end of the window, or if nothing remains, the next request that may pass."""


def rate_limit_fields(standings: Sequence[Standing]) -> dict[str, str]:
    """The fields for these policies; none for none."""
    if not standings:
        return {}
    return {
        "RateLimit": ", ".join(f'"{s.policy}";r={s.remaining};t={s.reset_seconds}' for s in standings),
        "RateLimit-Policy": ", ".join(
            f'"{s.policy}";q={s.limit.amount};w={s.limit.window_seconds}' for s in standings
        ),
    }
