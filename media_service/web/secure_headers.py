"""Adds the headers of `header_policies.py` to every answer that does not have its own. API room."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_service.web.header_policies import HSTS, headers_for

NOT_MODIFIED = 304


class SecureHeaders:
    """`is_https`: whether clients reach the service by https, whatever reaches this process."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._everywhere = HSTS if is_https else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # A 304 changes the headers of what is in the cache (RFC 9111 §3.2), which has its own.
                wanted = {} if message["status"] == NOT_MODIFIED else headers_for(scope["path"])
                for name, value in {**wanted, **self._everywhere}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_secured)
