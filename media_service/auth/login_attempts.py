"""Attempts at passwords, counted so that guessing is slow and owners still get in. API room.

Three limits together. An address may try so often (`login`), whatever the accounts: who tries one password at
many of them. One account from one address (`password`): who tries many at one. One account from everywhere
(`account`): many machines together. The last one alone would let an attacker lock an owner out, so it does
not count where the account was used from before: those addresses have the second limit only. What is left:
while an attack goes on, its owner cannot log in from a new place.

All of it is about names that were typed, so it tells nothing about which accounts exist.
"""

from datetime import timedelta

from media_service.auth.emails import normalised_email
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.counts import Counts, CountsUnavailableError
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.subjects import Subject, account_subject, pair_subject

FAMILIAR_FOR = timedelta(days=30)
"""Since its first login from there an address is known for an account; as long as a login lives unused."""


class LoginAttempts:
    """Asked before a password is checked; told when it was right."""

    def __init__(self, limiter: RateLimiter, counts: Counts) -> None:
        self._limiter = limiter
        self._counts = counts

    async def admit(self, name: str, address: Subject) -> None:
        """Count an attempt at the account of this name. Raises MediaServiceError (rate limited)."""
        account = account_subject(normalised_email(name) or name)
        pair = pair_subject(account, address)
        await self._limiter.charge(RateClass.PASSWORD, pair)
        if not await self._is_familiar(pair):
            await self._limiter.charge(RateClass.ACCOUNT, account)

    async def succeeded(self, name: str, address: Subject) -> None:
        """Remember that this account was used from this address."""
        pair = pair_subject(account_subject(normalised_email(name) or name), address)
        if self._limiter.has_limit(RateClass.ACCOUNT):
            try:
                await self._counts.add(_key(pair), 1, lifetime_seconds=int(FAMILIAR_FOR.total_seconds()))
            except CountsUnavailableError:
                return  # then the next login from here is a new one, too

    async def _is_familiar(self, pair: Subject) -> bool:
        if not self._limiter.has_limit(RateClass.ACCOUNT):
            return True
        try:
            return await self._counts.get(_key(pair)) > 0
        except CountsUnavailableError:
            return False


def _key(pair: Subject) -> str:
    return f"familiar:{pair.digest}"
