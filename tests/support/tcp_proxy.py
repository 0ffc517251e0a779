"""A TCP proxy that loses things: in front of PostgreSQL and Redis, where faults are those of a network.

It runs on an event loop of its own, in a thread; its methods may be called from any other.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

CHUNK_BYTES = 65536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: a close sends RST, not FIN."""


class TcpProxy:
    """Forwards a loopback port to another, until told to do otherwise. Faults hold for all connections."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._deaf_to: tuple[bytes, bytes] | None = None
        self.lost_answers = 0
        """How often an answer was withheld as `lose_answers_to` asked."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def heal(self) -> None:
        """Forward everything again; what was swallowed meanwhile comes late, as after a long stall."""

        def heal() -> None:
            self._refuses, self._deaf_to = False, None
            self._flows.set()

        self._do(heal)

    def hang(self) -> None:
        """Swallow every byte in both directions, and answer no new connection."""
        self._do(self._flows.clear)

    def go_down(self) -> None:
        """Reset all connections and every new one, as a server that is not there."""

        def go_down() -> None:
            self._refuses = True
            self._reset_all()

        self._do(go_down)

    def reset(self) -> None:
        """Reset all connections; new ones are taken."""
        self._do(self._reset_all)

    def lose_answers_to(self, words: bytes, *, on_connections_that_said: bytes) -> None:
        """The next request that holds `words` takes effect, and then its connection is reset.

        It counts on a connection that sent the other words before, or with it.
        """

        def deafen() -> None:
            self._deaf_to = (words, on_connections_that_said)

        self._do(deafen)

    def _do(self, change: Callable[[], None]) -> None:
        async def run() -> None:
            change()

        self._call(run())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._listener)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        if self._refuses:
            _reset(writer)
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        pair = (writer, server_writer)
        self._pairs.add(pair)
        try:
            connection = _Connection(self, pair)
            await asyncio.gather(
                connection.pump_requests(reader, server_writer),
                connection.pump_answers(server_reader, writer),
            )
        finally:
            self._pairs.discard(pair)
            server_writer.close()
            writer.close()

    def _reset_all(self) -> None:
        for client, server in self._pairs:
            _reset(client)
            server.close()

    def loses_answer_to(self, said: bytes) -> bool:
        """Whether the answer to what a connection has said, the last request included, is one to lose."""
        if self._deaf_to is None:
            return False
        words, before = self._deaf_to
        begin = said.find(before)
        if begin < 0 or words not in said[begin:]:
            return False
        self._deaf_to = None
        self.lost_answers += 1
        return True

    async def until_it_flows(self) -> None:
        await self._flows.wait()


class _Connection:
    def __init__(self, proxy: TcpProxy, pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._proxy = proxy
        self._pair = pair
        self._is_deaf = False
        self._said = b""

    async def pump_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._proxy.until_it_flows()
            self._said = (self._said + data)[-CHUNK_BYTES:]
            self._is_deaf = self._is_deaf or self._proxy.loses_answer_to(self._said)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def pump_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._proxy.until_it_flows()
            if self._is_deaf:  # the server has answered: what it was asked for is done
                _reset(writer)
                return
            writer.write(data)
            await writer.drain()
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
