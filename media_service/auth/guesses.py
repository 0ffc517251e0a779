"""Credentials that are guessed. API room.

Keys and tokens have more than a hundred random bits, so nobody will hit one; but each wrong one costs a look
into the database. An address that sent too many is refused without that look, unless its credential was good
a moment ago: one program with an old key must not shut out all that share its address.
"""

from media_service.auth.identity import Identity
from media_service.auth.keys import digest_of
from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.subjects import address_subject

MAX_FAMILIAR = 10_000
"""Credentials that a process remembers as good, by digest: some 2 MB. The first ones are forgotten first."""


class Guesses:
    """One per process."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._familiar: dict[str, None] = {}

    async def identify(self, identity: Identity, credential: str, *, host: str | None) -> Caller:
        """The caller behind a credential that came from this address.

        Raises MediaServiceError: unauthenticated, rate limited.
        """
        digest = digest_of(credential)
        if digest not in self._familiar:
            self._limiter.check_open(RateClass.CREDENTIALS, address_subject(host))
        try:
            caller = await identity.identify(credential)
        except MediaServiceError as error:
            if error.kind is ErrorKind.UNAUTHENTICATED:
                self._familiar.pop(digest, None)
                await self._limiter.charge(RateClass.CREDENTIALS, address_subject(host))
            raise
        self._note(digest)
        return caller

    def _note(self, digest: str) -> None:
        self._familiar[digest] = None
        if len(self._familiar) > MAX_FAMILIAR:
            del self._familiar[next(iter(self._familiar))]
