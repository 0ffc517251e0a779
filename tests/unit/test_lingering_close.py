"""The middleware that lets a refusal arrive: what it reads, what it says, and when it stops."""

import time
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from media_service.web.lingering_close import MAX_DRAIN_BYTES, MAX_DRAIN_SECONDS, LingeringClose

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


class Client:
    """Sends chunks of a body, then `end`, and keeps what is answered."""

    def __init__(self, *chunks: bytes, end: Message | None = None) -> None:
        more = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        self._messages: list[Message] = [
            *more,
            end or {"type": "http.request", "body": b"", "more_body": False},
        ]
        self.answered: list[Message] = []
        self.taken = 0

    async def receive(self) -> Message:
        self.taken += 1
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answered[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.answered[1:])


def app(status: int, *, reads: int = 0) -> Any:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(reads):
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"half ", "more_body": True})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})

    return answer


async def run(client: Client, inner: Any, *, headers: dict[str, str] | None = None) -> None:
    given = {"content-length": "1000"} if headers is None else headers
    scope = {"type": "http", "headers": [(k.encode(), v.encode()) for k, v in given.items()]}
    await LingeringClose(inner)(scope, client.receive, client.send)


async def test_refusal_is_sent_whole_before_the_rest_is_drained():
    client = Client(b"1", b"2", b"3")
    await run(client, app(413, reads=1))
    assert client.body == b"half done"
    assert client.headers[b"connection"] == b"close"
    assert client.taken == 4
    assert [message.get("more_body") for message in client.answered[1:]] == [True, True, False]


async def test_refusal_after_the_whole_body_keeps_the_connection():
    client = Client(b"1")
    await run(client, app(422, reads=2))
    assert b"connection" not in client.headers
    assert client.taken == 2


async def test_success_before_the_whole_body_is_left_alone():
    client = Client(b"1", b"2")
    await run(client, app(200))
    assert b"connection" not in client.headers
    assert client.taken == 0


@pytest.mark.parametrize("headers", [{}, {"content-length": "0"}])
async def test_request_without_a_body_is_left_alone(headers: dict[str, str]):
    client = Client()
    await run(client, app(404), headers=headers)
    assert b"connection" not in client.headers
    assert client.taken == 0


async def test_chunked_body_is_drained_too():
    client = Client(b"1")
    await run(client, app(400), headers={"transfer-encoding": "chunked"})
    assert client.taken == 2


async def test_client_that_leaves_ends_the_draining():
    client = Client(b"1", end={"type": "http.disconnect"})
    await run(client, app(413))
    assert client.taken == 2
    assert client.answered[-1]["more_body"] is False


async def test_no_more_than_the_bound_is_drained():
    client = Client(*[bytes(8 * MIB)] * 20)
    await run(client, app(413))
    assert client.taken == MAX_DRAIN_BYTES // (8 * MIB)
    assert client.answered[-1]["more_body"] is False


async def test_client_that_sends_nothing_is_not_waited_for():
    class Silent(Client):
        async def receive(self) -> Message:
            await anyio.sleep_forever()
            raise AssertionError

    client = Silent()
    started = time.monotonic()
    await run(client, app(413))
    assert MAX_DRAIN_SECONDS <= time.monotonic() - started < MAX_DRAIN_SECONDS + 10
    assert client.answered[-1]["more_body"] is False


async def test_other_kinds_of_connections_pass_through():
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = Client()
    await LingeringClose(inner)({"type": "lifespan"}, client.receive, client.send)
    assert seen == ["lifespan"]
