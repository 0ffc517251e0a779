"""HEAD wherever there is GET (RFC 9110 §9.1: both are required of a server). API room."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HEAD = "/content"
"""Paths that end so answer HEAD themselves: they know a file's headers without opening it."""


class HeadAsGet:
    """Runs a HEAD as the GET it asks about, and drops the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"].endswith(OWN_HEAD):
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send_head)
        finally:
            scope["route"] = as_get.get("route")  # for the log line
