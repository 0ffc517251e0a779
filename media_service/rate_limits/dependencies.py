"""Limits as dependencies: every router names the class of its routes. API room."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from media_service.auth.dependencies import get_account_holder, get_caller_or_none
from media_service.auth.scopes import Caller
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.fields import Standing
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.subjects import (
    Subject,
    address_subject,
    credential_subject,
    owner_subject,
    pair_subject,
)

STANDINGS = "media_service.rate_limit_standings"
"""In the scope of a request: what `web/rate_limit_fields.py` tells the client."""
_IS_CHARGED = "media_service.is_rate_limited"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def get_rate_limiter(request: Request) -> RateLimiter:
    limiter: RateLimiter = request.app.state.rate_limiter
    return limiter


async def get_address(request: Request) -> Subject:
    """The client's address, as far as trusted proxies tell it."""
    return address_subject(request.client.host if request.client is not None else None)


class AddressRateLimit:
    """Counts a request for the client's address: for routes that know no caller. Once, whoever calls it."""

    def __init__(self, rate_class: RateClass, *, changes: RateClass | None = None) -> None:
        """`changes` is the class of all methods but GET, HEAD and OPTIONS, if it is another one."""
        self._rate_class = rate_class
        self._changes = changes or rate_class

    def class_of(self, method: str) -> RateClass:
        return self._rate_class if method in _SAFE_METHODS else self._changes

    async def __call__(self, request: Request) -> None:
        await self.charge(request, None)

    async def charge(self, request: Request, caller: Caller | None) -> None:
        """Raises MediaServiceError (rate limited). Routes that read a body call it before they do."""
        if _IS_CHARGED in request.scope:
            return
        request.scope[_IS_CHARGED] = True
        subject = await get_address(request) if caller is None else credential_subject(caller.credential_id)
        limiter = await get_rate_limiter(request)
        standing = await limiter.charge(self.class_of(request.method), subject)
        if standing is not None:
            standings: list[Standing] = request.scope[STANDINGS]
            standings.append(standing)


class RateLimit(AddressRateLimit):
    """Counts a request for its credential, once that is found to be good; for the address if it has none."""

    async def __call__(  # type: ignore[override]  # FastAPI reads what it needs from the signature
        self, request: Request, caller: Annotated[Caller | None, Depends(get_caller_or_none)]
    ) -> None:
        await self.charge(request, caller)


async def limit_own_password(
    caller: Annotated[Caller, Depends(get_account_holder)],
    limiter: Annotated[RateLimiter, Depends(get_rate_limiter)],
) -> None:
    """Counts attempts at the caller's password: whoever stole a credential may still have to guess that.

    By credential first, so that the thief's guesses do not use up the owner's; then by user, for a thief of
    several.
    """
    owner = owner_subject(caller.owner_id)
    await limiter.charge(RateClass.PASSWORD, pair_subject(owner, credential_subject(caller.credential_id)))
    await limiter.charge(RateClass.ACCOUNT, owner)


def rate_limit_of(route: APIRoute) -> AddressRateLimit | None:
    """The limit that a route was given, by itself or by its router."""
    calls = (depends.dependency for depends in route.dependencies)
    return next((call for call in calls if isinstance(call, AddressRateLimit)), None)


Address = Annotated[Subject, Depends(get_address)]
