"""Tells clients how they stand with their limits, on every answer to a request that was counted. API room."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_service.rate_limits.dependencies import STANDINGS
from media_service.rate_limits.fields import Standing, rate_limit_fields


class RateLimitFields:
    """Adds `RateLimit` and `RateLimit-Policy`, also to answers that a handler or an error made itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standings: list[Standing] = []

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in rate_limit_fields(standings).items():
                    headers.setdefault(name, value)  # a refusal has its own
            await send(message)

        # Into the scope itself, no copy: the log names the route that is written down there later.
        scope[STANDINGS] = standings
        await self._app(scope, receive, send_with_fields)
