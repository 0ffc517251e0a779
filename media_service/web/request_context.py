"""The outermost middleware but one: request id and canonical log line. API room."""

import re
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_service.models import new_id

log = structlog.get_logger("media_service.request")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""What a client's own id may be; anything else could break log lines."""

QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


class RequestContext:
    """Binds an id to a request, answers with it, and writes one line per request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        exchange = _Exchange(scope, receive, send, request_id)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.write_line()


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(new_id())


class _Exchange:
    """Watches one request go by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._started = time.perf_counter()
        self._bytes_in = 0
        self._bytes_out = 0
        self._status: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self._request_id
        elif message["type"] == "http.response.body":
            self._bytes_out += len(message.get("body", b""))
        await self._send(message)

    def write_line(self) -> None:
        if self._scope["path"] in QUIET_PATHS and self._status == 200:
            return
        route, client = self._scope.get("route"), self._scope.get("client")
        log.info(
            "request.finished",
            client=client[0] if client else None,
            method=self._scope["method"],
            route=getattr(route, "path", None),
            status=self._status,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            bytes_in=self._bytes_in,
            bytes_out=self._bytes_out,
        )
