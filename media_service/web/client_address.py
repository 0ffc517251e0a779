"""The outermost middleware: sees through the proxies that are trusted (`forwarded.py`). API room."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from media_service.web.forwarded import Network, client_of, parse_address


class ClientAddress:
    """Changes `client` and `scheme` of requests that come from a trusted proxy, and no others."""

    def __init__(self, app: ASGIApp, *, trusted_proxies: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._trusted and scope["type"] in {"http", "websocket"}:
            scope = self._seen_through(scope)
        await self._app(scope, receive, send)

    def _seen_through(self, scope: Scope) -> Scope:
        peer = parse_address(scope["client"][0]) if scope.get("client") else None
        if peer is None:
            return scope
        headers = Headers(scope=scope)
        client = client_of(
            peer,
            self._trusted,
            forwarded=headers.getlist("forwarded"),
            x_forwarded_for=headers.getlist("x-forwarded-for"),
            x_forwarded_proto=headers.getlist("x-forwarded-proto"),
        )
        scheme = client.scheme or scope["scheme"]
        if scope["type"] == "websocket":
            scheme = scheme.replace("http", "ws")
        address = scope["client"] if client.address == peer else (str(client.address), 0)
        return {**scope, "client": address, "scheme": scheme}
