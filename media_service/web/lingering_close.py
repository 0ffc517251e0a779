"""Lets a refusal arrive although the client is still sending its body. API room.

Closing a socket with unread bytes resets the connection (TCP), and the client may lose the answer that was
on its way. So after an error in mid-body the answer is sent whole, what still comes is read and thrown away
for a bounded time, and then the connection closes (RFC 9112 §9.6).
"""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_DRAIN_SECONDS = 2.0
MAX_DRAIN_BYTES = 64 * 1024 * 1024
"""Enough for what is in flight; a client that sends on has not read its answer and never will."""


class LingeringClose:
    """Wraps an application; touches only error answers to requests whose body was not read to its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self._app(scope, exchange.receive, exchange.send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class _Exchange:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_is_open = True
        self._is_refusal = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._body_is_open = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_refusal = message["status"] >= 400 and self._body_is_open
            if self._is_refusal:
                MutableHeaders(scope=message)["Connection"] = "close"
        elif self._is_refusal and not message.get("more_body", False):
            # The whole answer goes out first, but the message that ends it, and so the connection, waits.
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await self._send(message)

    async def _drain(self) -> None:
        drained_bytes = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_DRAIN_SECONDS):
                while self._body_is_open and drained_bytes < MAX_DRAIN_BYTES:
                    drained_bytes += len((await self.receive()).get("body", b""))
