"""Credentials that are guessed. API room.

Keys and tokens have more than a hundred random bits, so nobody will hit one; but each wrong one costs a look
into the database. An address that sent too many gets no more of those looks by a guess alone. Its neighbours
go on: a credential that was good here a moment ago is not asked about, and one that this service made, as its
signature or a look shared by all shows, has looks of its own.
"""

from media_service.auth.identity import Identity
from media_service.auth.keys import digest_of
from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.subjects import address_subject, credential_origin_subject

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
        digest, subject = digest_of(credential), address_subject(host)
        is_familiar = digest in self._familiar
        if not is_familiar and not self._limiter.is_open(RateClass.CREDENTIALS, subject):
            origin = await identity.origin_of(credential)
            subject = subject if origin is None else credential_origin_subject(origin)
            self._limiter.check_open(RateClass.CREDENTIALS, subject)
        try:
            caller = await identity.identify(credential)
        except MediaServiceError as error:
            if error.kind is not ErrorKind.UNAUTHENTICATED:
                raise
            self._familiar.pop(digest, None)
            if not is_familiar:  # else it ended a moment ago, and is no guess
                await self._limiter.charge(RateClass.CREDENTIALS, subject)
            raise
        self._note(digest)
        return caller

    def _note(self, digest: str) -> None:
        self._familiar[digest] = None
        if len(self._familiar) > MAX_FAMILIAR:
            del self._familiar[next(iter(self._familiar))]
