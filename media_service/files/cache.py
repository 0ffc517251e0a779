"""What was shown of an owner's files, kept in Redis until the owner's files change. API room.

Exact by construction: the revision of the owner's files comes from the database with every request's caller,
and an entry answers only for the revision under which it was read, or was read after (`Place`). Redis may
lose, mix up or damage what it likes: it is then not found, and the database is asked.
"""

import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError

from media_service.auth.scopes import Caller
from media_service.redis_failures import REDIS_FAILURES

log = structlog.get_logger(__name__)

T = TypeVar("T")

PREFIX = "media-cache"
SLOTS = 64
"""Entries that an owner may have of each kind. Two questions that meet in one slot take turns; without
slots, whoever walks through a million files would fill the memory of Redis, which may be the broker's too."""
MAX_ENTRY_BYTES = 256 * 1024
"""A page of 200 files has about so much; what is larger is not kept."""
TIMEOUT_SECONDS = 0.1
"""For one call. A healthy Redis needs less than one millisecond, and the database a few."""
REST_SECONDS = 5.0
"""After a failure nothing is asked for so long: an outage costs one request in five seconds a timeout."""
MAX_CONNECTIONS = 32
"""Per API process; who finds none free asks the database."""

_FORMAT = b"mc1\n"
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Place:
    """A question about an owner's files, as of a revision of them.

    What is read from the database after its revision was known is at least as new: it may be kept here.
    """

    key: str
    """The same for all revisions, so that a new answer takes the place of an old one."""
    fingerprint: bytes
    """Of all that an answer depends on: the question, the owner, the revision."""

    @property
    def etag(self) -> str:
        """A weak entity tag of the answer, known before the answer is.

        Weak, since an answer that is read while files change may be newer than its revision.
        """
        return f'W/"{base64.urlsafe_b64encode(self.fingerprint[:16]).rstrip(b"=").decode()}"'


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer: its body as it is served, and what stands beside it."""

    body: bytes
    etag: str
    next_cursor: str | None = None


def place_of(caller: Caller, kind: str, question: Sequence[str | int | None], *, namespace: str) -> Place:
    """The place of a question that a caller asks about their own files.

    `namespace` names all that shapes answers and is not in the database (version, public URL).
    """
    asked = [namespace, kind, caller.owner_id.hex, *question]
    slot = _digest(asked)[0] % SLOTS
    return Place(
        f"{PREFIX}:{kind}:{caller.owner_id.hex}:{slot}", _digest([*asked, caller.account.files_revision])
    )


class AnswerCache:
    """Never raises and never waits long: without Redis there is nothing in it."""

    def __init__(self, redis: Redis, *, ttl: timedelta) -> None:
        self._redis = redis
        self._ttl_ms = int(ttl.total_seconds() * 1000)
        self._rests_until = 0.0
        self._is_away = False

    async def get(self, place: Place) -> Entry | None:
        """The answer that was kept for exactly this question, owner and revision."""
        kept = await self._ask(lambda: self._redis.get(place.key))
        return _opened(kept, place) if isinstance(kept, bytes) else None

    async def put(self, place: Place, entry: Entry) -> None:
        """Keep an answer that was read after its place was made."""
        sealed = _sealed(entry, place)
        if len(sealed) <= MAX_ENTRY_BYTES:
            await self._ask(lambda: self._redis.set(place.key, sealed, px=self._ttl_ms))

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        now = time.monotonic()
        if now < self._rests_until:
            return None
        if self._is_away:
            self._rests_until = now + REST_SECONDS  # this one request finds out whether it is back
        try:
            answer = await call()
        except MaxConnectionsError:
            return None
        except REDIS_FAILURES as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            if not self._is_away:
                log.warning("cache.unavailable", error=type(error).__name__)
            self._is_away = True
            return None
        if self._is_away:
            self._is_away, self._rests_until = False, 0.0
            log.info("cache.available")
        return answer


def cache_client(url: str) -> Redis:
    """A client that gives up soon; one retry, for a connection that Redis closed while it was idle."""
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 1),
        max_connections=MAX_CONNECTIONS,
    )


def _digest(parts: Sequence[str | int | None]) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _sealed(entry: Entry, place: Place) -> bytes:
    payload = json.dumps([entry.etag, entry.next_cursor]).encode() + b"\n" + entry.body
    return _FORMAT + _seal(payload, place) + payload


def _opened(kept: bytes, place: Place) -> Entry | None:
    """The entry, or None for anything else than what was put into this place, byte for byte."""
    start = len(_FORMAT) + _SEAL_BYTES
    payload = kept[start:]
    if kept[:start] != _FORMAT + _seal(payload, place):
        return None
    beside, _, body = payload.partition(b"\n")
    etag, next_cursor = json.loads(beside)
    return Entry(body, etag, next_cursor)


def _seal(payload: bytes, place: Place) -> bytes:
    """Made of the payload and of its place: an entry fits nowhere else.

    A client that mixes up answers of Redis (as redis-py once did when requests were cut) finds nothing then.
    """
    return hashlib.blake2b(payload, key=place.fingerprint, digest_size=_SEAL_BYTES).digest()
