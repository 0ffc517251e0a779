"""The HTTP parser with what it lacks: bounds on heads, time and connections, problems as answers. API room.

uvicorn's own waits for ever for the end of a head, keeps any number of its bytes, and speaks plain text.
Whole heads are judged in `head_limits.py`; here are those that never become whole.
"""

import asyncio
import json
from asyncio.events import TimerHandle
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from media_service.models import new_id
from media_service.web.limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from media_service.web.problem_catalogue import title_of

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = MAX_TARGET_BYTES + MAX_HEADER_BYTES + 8 * 1024
"""Of a head that is not whole yet; the last part is for separators and one more read from the socket."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    max_connections: int
    header_timeout: timedelta


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **more: Any) -> None:
        super().__init__(*args, **more)
        self._limits = limits
        self._head_is_open = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(503, "too-many-connections", "The service has all hands full; try again soon.")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_is_open and self._head_timer is None:
            self._await_head()  # the first bytes after a kept connection was idle
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_is_open and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "headers-too-large", "The head of the request is too large.")

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._head_is_open = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head_is_open = True
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the framework's signature
        self._refuse(400, "malformed-http", "The request does not follow HTTP/1.1 (RFC 9112).")

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(
            self._limits.header_timeout.total_seconds(), self._on_head_timeout
        )

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "header-timeout", "The head of the request did not come in time.")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer outside of any request, and close. Says nothing in the midst of another answer."""
        self._stop_timer()
        request_id = str(new_id())
        log.info("connection.refused", code=code, status=status, request_id=request_id)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_answer(status, code, detail, request_id))
        self.transport.close()


def _answer(status: int, code: str, detail: str, request_id: str) -> bytes:
    problem = {"type": f"/problems/{code}", "title": title_of(code), "status": status, "detail": detail}
    body = json.dumps({**problem, "code": code, "request_id": request_id}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        f"X-Request-ID: {request_id}",
        *(["Retry-After: 5"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
