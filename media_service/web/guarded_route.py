"""Routes with a JSON body: credentials first, then a bounded body. API room.

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
from media_service.auth.scopes import missing_credentials
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.uploads.headers import declared_length

MAX_JSON_BYTES = 1024 * 1024
"""The largest documented body, a batch of a thousand URLs, has a tenth of this."""


class GuardedRoute(APIRoute):
    """The `route_class` of routers whose handlers declare bodies; handlers without one are not touched."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def guarded(request: Request) -> Response:
            if await identify_caller(request) is None:
                raise missing_credentials()
            _check_size(declared_length(request.headers.get("content-length")) or 0)
            return await handle(Request(request.scope, _replay(await _read(request))))

        return guarded


async def _read(request: Request) -> bytes:
    """The body, counted as it comes: a chunked one declares nothing."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        _check_size(len(body))
    return bytes(body)


def _replay(body: bytes) -> Callable[[], Coroutine[Any, Any, Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_JSON_BYTES:
        raise MediaServiceError(
            ErrorKind.TOO_LARGE,
            "body-too-large",
            f"A JSON body may have at most {MAX_JSON_BYTES} bytes.",
            limit_bytes=MAX_JSON_BYTES,
        )
