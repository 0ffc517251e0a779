"""Settings of how often one client may do what. Core room."""

import re
from datetime import timedelta
from typing import Annotated, Any

from limits import parse_many
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_settings import NoDecode

from media_service.durations import Duration
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.window import Limit

OFF = "off"


def parse_limit(value: Any) -> Any:
    """`600/minute`, `5 per 10 seconds` or `off`. Raises ValueError with a line for people."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == OFF:
        return None
    try:
        items = parse_many(value)
    except ValueError:
        items = []
    # Of "1/0 seconds" the library makes 1/second.
    if len(items) != 1 or any(int(number) < 1 for number in re.findall(r"\d+", value)):
        raise ValueError(f"must be one limit such as 600/minute or 5 per 10 seconds, or {OFF}")
    return Limit(items[0].amount, items[0].get_expiry())


RateSetting = Annotated[Limit | None, BeforeValidator(parse_limit), NoDecode]

MINUTE, HOUR = 60, 3600


class RateLimitSettings(BaseModel):
    """Each limit counts for one credential; where there is none, for one address (of IPv6: one /64).

    Lower stops a program that runs wild sooner, and honest ones in a busy hour. The defaults are about what
    one API process can do at all, so a real application meets none of them; those against guessing are not.
    """

    model_config = ConfigDict(frozen=True)

    rate_limits: bool = True
    """False: none of the limits below holds. For where a proxy does all of it, and for load tests."""
    rate_limit_patience: Duration = timedelta(seconds=0.25)
    """How long a request waits for Redis to count it; then all go on uncounted for five seconds, but for
    strangers, whom each process counts for itself. Shorter does so at every hiccup."""
    rate_limit_read: RateSetting = Limit(12_000, MINUTE)
    """Lists and descriptions."""
    rate_limit_content: RateSetting = Limit(60_000, MINUTE)
    """Bytes of originals and renditions; a gallery page asks for fifty at once."""
    rate_limit_write: RateSetting = Limit(6_000, MINUTE)
    """Changes and deletions, and the exchange of refresh tokens."""
    rate_limit_upload: RateSetting = Limit(6_000, MINUTE)
    """Uploads that begin; what belongs to one that was accepted is not counted."""
    rate_limit_sign: RateSetting = Limit(6_000, MINUTE)
    """Requests for signed URLs, of one or of many."""
    rate_limit_login: RateSetting = Limit(30, MINUTE)
    """Logins from one address, at any account: stops who tries one password at many. An office behind one
    address shares it."""
    rate_limit_password: RateSetting = Limit(10, MINUTE)
    """Attempts at the password of one account from one address; at changing the own, with one credential."""
    rate_limit_account: RateSetting = Limit(20, MINUTE)
    """Attempts at one account from all addresses that it was not used from in the last 30 days: stops many
    machines that guess together. Lower lets them lock the owner out of new places more easily. Also attempts
    at changing one's own password, with all credentials together."""
    rate_limit_register: RateSetting = Limit(20, HOUR)
    """Registrations from one address."""
    rate_limit_credentials: RateSetting = Limit(300, MINUTE)
    """Requests from one address with a wrong, expired or revoked credential. A page whose token just ran out
    may send a hundred; credentials that were good a moment ago go on working."""

    def limits(self) -> dict[RateClass, Limit | None]:
        """The limit of each class; none where it is off, and for what is exempt."""
        if not self.rate_limits:
            return {}
        limited = [rate_class for rate_class in RateClass if rate_class is not RateClass.EXEMPT]
        return {rate_class: getattr(self, f"rate_limit_{rate_class}") for rate_class in limited}
