"""The HTTP parser with what it lacks: bounds on heads, time and connections, problems as answers. API room.

uvicorn's own waits for ever for the end of a head, keeps any number of its bytes, takes for HTTP what is
none (`head_rules.py`), and speaks plain text. The size of whole heads is judged in `head_limits.py`; here are
those that never become whole.
"""

import asyncio
import json
from asyncio.events import TimerHandle
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from media_service.models import new_id
from media_service.web.head_rules import fault_of
from media_service.web.header_policies import API
from media_service.web.limits import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from media_service.web.lingering_close import MAX_DRAIN_BYTES, MAX_DRAIN_SECONDS
from media_service.web.problem_catalogue import title_of

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = MAX_TARGET_BYTES + MAX_HEADER_BYTES + 8 * 1024
"""Of a head that is not whole yet; the last part is for separators and one more read from the socket."""

FRAMING_BYTES_PER_BYTE = 8
"""What may frame a byte of a chunked body, beside the bound above: chunks of one byte have 5 (RFC 9112 §7.1).
Extensions of chunks and trailers have no bound of their own, and count as no bytes of the body."""


class _RefusedHeadError(Exception):
    """Leaves the parser, which then reads no further."""


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
        self._head_timer: TimerHandle | None = None
        self._framing_bytes = 0
        """Of this request, without its body."""
        self._body_bytes = 0
        self._fault: str | None = None
        self._is_refused = False
        self._drained_bytes = 0
        self._cycles: list[RequestResponseCycle] = []
        """Requests without a whole answer, in the order they came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(503, "too-many-connections", "The service has all hands full; try again soon.")
            self.transport.close()  # at once: one that lingers would take the place of the next
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            self._throw_away(data)
        elif not self.transport.is_closing():
            self._unset_keepalive_if_required()
            if self._head_is_open and self._head_timer is None:
                self._await_head()  # the first bytes after a kept connection was idle
            self._framing_bytes += len(data)
            self._parse(data)
            self._check_framing()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too. Merged into the head they could say what it did not (RFC 9110 §6.5.1).
        if self._head_is_open:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._fault = fault_of(method, version, self.url, self.headers)
        if self._fault is not None:
            raise _RefusedHeadError
        if self.parser.should_upgrade():
            return  # this head comes again, see `_parse`
        self._head_is_open = False
        super().on_headers_complete()
        self._cycles = [cycle for cycle in (*self._cycles, self.cycle) if not cycle.response_complete]

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._head_is_open = True
        self._framing_bytes = self._body_bytes = 0

    def _parse(self, data: bytes) -> None:
        while data and not self._is_refused:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                # There is nothing to upgrade to, so the request means what it says without (RFC 9110 §7.8).
                # The parser would pass over its body: a file sent by Java's client would be stored empty.
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
            except HttpParserError:
                detail = self._fault or "The request does not follow HTTP/1.1 (RFC 9112)."
                self._refuse(400, "malformed-http", detail)
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        headers = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        version = self.parser.get_http_version().encode()
        start = self.parser.get_method() + b" " + self.url + b" HTTP/" + version
        return b"\r\n".join([start, *headers, b"", b""])

    def _check_framing(self) -> None:
        bound = MAX_HEAD_BYTES + FRAMING_BYTES_PER_BYTE * self._body_bytes
        if self._framing_bytes > bound and not self._is_refused:
            self._refuse(431, "headers-too-large", "The head of the request, or its trailers, are too large.")

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(
            self._limits.header_timeout.total_seconds(), self._on_head_timeout
        )

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if not self._is_refused and not self.transport.is_closing():
            self._refuse(408, "header-timeout", "The head of the request did not come in time.")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer outside of any request, and close. Says nothing in the midst of another answer."""
        self._is_refused = True
        self._stop_timer()
        request_id = str(new_id())
        log.info("connection.refused", code=code, status=status, request_id=request_id)
        running = [cycle for cycle in self._cycles if not cycle.response_complete]
        if len(running) > 1 and running[-1].more_body:
            # The newest is the one that is wrong, and waits for its turn behind others.
            self.pipeline.popleft()
            running.pop()
        if running and not running[-1].more_body:
            # What is wrong came behind whole requests, whose client must not take our refusal for an answer
            # to them: theirs go out first, and are the last.
            running[-1].keep_alive = False
            return
        if running and running[-1].response_started:
            self.transport.close()
            return
        if running:
            running[-1].disconnected = True
            running[-1].message_event.set()
        self.transport.write(_answer(status, code, detail, request_id))
        self._close_softly()

    def _close_softly(self) -> None:
        """Say that this was all, and close when the client did, so that no reset overtakes the answer.

        Of what still comes as much is thrown away as after any refusal in mid-body (`lingering_close.py`).
        """
        with suppress(OSError):  # the client is gone already
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(MAX_DRAIN_SECONDS, self.transport.close)

    def _throw_away(self, data: bytes) -> None:
        self._drained_bytes += len(data)
        if self._drained_bytes > MAX_DRAIN_BYTES:
            self.transport.close()


def _answer(status: int, code: str, detail: str, request_id: str) -> bytes:
    problem = {"type": f"/problems/{code}", "title": title_of(code), "status": status, "detail": detail}
    body = json.dumps({**problem, "code": code, "request_id": request_id}).encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in API.items()),
        "Connection: close",
        f"X-Request-ID: {request_id}",
        *(["Retry-After: 5"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
