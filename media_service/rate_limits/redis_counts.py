"""Requests counted in Redis, for all API processes together. API room."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import structlog
from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from media_service.rate_limits.counts import CountsUnavailableError
from media_service.redis_failures import REDIS_FAILURES

log = structlog.get_logger(__name__)

KEY_PREFIX = "media-rate"
CONNECTIONS = 20
"""Per process. A count takes a tenth of a millisecond, so a few serve thousands of requests a second."""
PAUSE = timedelta(seconds=5)
"""After a failure, until Redis is asked again, by one request: while it hangs, that one waits in vain, once
in so many seconds. Longer leaves requests uncounted for longer once it is back."""

T = TypeVar("T")


class RedisCounts:
    """By the scripts of `limits`: one round trip each. `patience` bounds all of it, connecting included.

    The log says once that Redis went, and once that it is back.
    """

    def __init__(self, url: str, *, patience: timedelta, pause: timedelta = PAUSE) -> None:
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
        )
        # Its own way to a URL knows neither our sockets nor our patience; any option is passed on as it is.
        options = cast("dict[str, Any]", {"connection_pool": self._pool})
        self._storage = RedisStorage("redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options)
        self._patience_seconds = patience.total_seconds()
        self._pause_seconds = pause.total_seconds()
        self._away_since: float | None = None
        self._ask_again_at = 0.0

    async def close(self) -> None:
        await self._pool.aclose()

    async def add(self, key: str, amount: int, *, lifetime_seconds: int) -> int:
        return await self._ask(lambda: self._storage.incr(key, lifetime_seconds, amount))

    async def get(self, key: str) -> int:
        return await self._ask(lambda: self._storage.get(key))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if not self._may_ask():
            raise CountsUnavailableError
        try:
            async with asyncio.timeout(self._patience_seconds):
                answer = await question()
        except REDIS_FAILURES as error:
            self._note_failure(error)
            raise CountsUnavailableError from error
        self._note_success()
        return answer

    def _may_ask(self) -> bool:
        """Whether Redis is well as far as is known, or it is time for one request to try."""
        if self._away_since is None:
            return True
        now = time.monotonic()
        if now < self._ask_again_at:
            return False
        self._ask_again_at = now + self._pause_seconds
        return True

    def _note_failure(self, error: Exception) -> None:
        now = time.monotonic()
        self._ask_again_at = now + self._pause_seconds
        if self._away_since is None:
            self._away_since = now
            log.warning("rate_limits.redis_away", error=type(error).__name__)

    def _note_success(self) -> None:
        if self._away_since is not None:
            seconds = round(time.monotonic() - self._away_since, 1)
            self._away_since = None
            log.info("rate_limits.redis_back", seconds=seconds)
