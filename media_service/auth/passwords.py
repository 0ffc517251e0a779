"""Passwords: argon2id in a few threads of its own. API room."""

import secrets
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from media_service.exceptions import ErrorKind, MediaServiceError

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
PASSES = 2
"""With one lane: the least that OWASP's Password Storage Cheat Sheet takes, some 40 ms of a core. When these
are raised, each hash follows at its owner's next login. More protects better against who stole the table, and
makes every login, and every attempt, cost as much more."""

BUSY_SECONDS = 5
"""When another try is worth it: in this time a full queue of the default length is done."""


class Passwords:
    """Hashes and checks; at most `threads` at once, so a storm of logins takes so many cores and no more.

    Each costs MEMORY_KIB; whoever finds no thread free waits in turn, on the event loop, and whoever finds
    `max_waiting` before them is sent away: raises MediaServiceError (unavailable, busy).
    """

    def __init__(
        self, *, threads: int, max_waiting: int, memory_kib: int = MEMORY_KIB, passes: int = PASSES
    ) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=passes, memory_cost=memory_kib, parallelism=1),))
        self._threads = threads
        self._max_waiting = max_waiting
        self._limiter: CapacityLimiter | None = None
        # What is checked where there is no account: the same work, so the time of an answer tells nothing.
        self._nobodys_hash = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, known_hash: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and a better hash of it if the known one is outdated.

        Without a known hash the answer is no, after the same work.
        """
        is_right, newer = await self._run(
            lambda: self._hasher.verify_and_update(password, known_hash or self._nobodys_hash)
        )
        return (is_right, newer) if known_hash is not None else (False, None)

    async def _run(self, call: Callable[[], T]) -> T:
        # A limiter belongs to a running event loop, so it cannot be made where the object is.
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._threads)
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise MediaServiceError(
                ErrorKind.UNAVAILABLE,
                "busy",
                "Too many passwords wait to be checked; try again soon.",
                retry_after_seconds=BUSY_SECONDS,
            )
        return await to_thread.run_sync(call, limiter=self._limiter)
