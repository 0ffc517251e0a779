"""Routes whose handlers declare a body: credentials and limits first, then a bounded body. API room.

FastAPI reads a declared body before it runs any dependency: without this, anybody could make the service
hold as many bytes as they like to send, and would be told about their JSON before their credentials.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from media_service.auth.dependencies import identify_caller
from media_service.auth.scopes import Caller, missing_credentials
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.dependencies import rate_limit_of
from media_service.uploads.headers import declared_length

MAX_JSON_BYTES = 1024 * 1024
"""The largest documented body, a batch of a thousand URLs, has a tenth of this."""
MAX_STRANGERS_BYTES = 16 * 1024
"""An address and a password in any encoding have less."""


class GuardedRoute(APIRoute):
    """The `route_class` of routers whose handlers declare bodies; handlers without one are not touched."""

    async def identify(self, request: Request) -> Caller | None:
        """Who calls, before the body is read; a route that takes another credential says so here."""
        return await identify_caller(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        limit = rate_limit_of(self)

        async def guarded(request: Request) -> Response:
            caller = await self.identify(request)
            if limit is not None:
                await limit.charge(request, caller)
            if caller is None:
                raise missing_credentials()
            return await handle(await _with_body(request, max_bytes=MAX_JSON_BYTES))

        return guarded


class BoundedRoute(APIRoute):
    """The same for routers that take credentials in the body itself: whoever calls, it stays small."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        limit = rate_limit_of(self)

        async def bounded(request: Request) -> Response:
            if limit is not None:
                await limit.charge(request, None)
            return await handle(await _with_body(request, max_bytes=MAX_STRANGERS_BYTES))

        return bounded


async def _with_body(request: Request, *, max_bytes: int) -> Request:
    """A request that has its whole body. Raises MediaServiceError (too large)."""
    _check_size(declared_length(request.headers.get("content-length")) or 0, max_bytes)
    return Request(request.scope, _replay(await _read(request, max_bytes)))


async def _read(request: Request, max_bytes: int) -> bytes:
    """The body, counted as it comes: a chunked one declares nothing."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        _check_size(len(body), max_bytes)
    return bytes(body)


def _replay(body: bytes) -> Callable[[], Coroutine[Any, Any, Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise MediaServiceError(
            ErrorKind.TOO_LARGE,
            "body-too-large",
            f"A body may have at most {max_bytes} bytes here.",
            limit_bytes=max_bytes,
        )
