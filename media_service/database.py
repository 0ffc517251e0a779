"""The async database. API room.

A function that takes `Database` owns its transaction; one that takes a session is inside somebody else's
and never commits. No transaction is open while bytes move.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from media_service import (
    blocking_database,
    tables,  # noqa: F401 - the mappings must be complete before the first statement
)
from media_service.dialects import (
    WRITE_OPTION,
    async_url,
    configure_engine,
    engine_options,
    is_unavailable,
    may_pass_at_once,
    translated_database_errors,
)
from media_service.impatient_connection import ImpatientConnection

T = TypeVar("T")

PATIENCE_SECONDS = 4.5
"""Of a request for its database, waiting for a connection included. A server that hangs, or a network that
swallows everything, must cost an answer within five seconds and no more; a healthy one takes milliseconds."""
AFTERMATH_SECONDS = 0.5
"""For what follows a failure: what is not tidied up by then is left to leases and the sweeper."""
BUSY_TIMEOUT = timedelta(seconds=2)
"""For SQLite's lock, when a writer of another process holds it."""
WRITER_TURN_SECONDS = 2.5
"""How long a write may wait for those before it, where the database has one writer; then it is refused.
Longer than the busy timeout, so that one stuck writer of another process costs one refusal; both together
are the patience of a request."""
MAX_TRIES = 3
"""Of a transaction that others got into the way of."""


@asynccontextmanager
async def aftermath(error: BaseException | None = None) -> AsyncIterator[None]:
    """Bounds a use of the database that tidies up after a failure; briefly, if it was the database's own.

    Raises MediaServiceError (unavailable) when the time is over. Without `error` nobody knows whose it was.
    """
    seconds = AFTERMATH_SECONDS if error is None or is_unavailable(error) else PATIENCE_SECONDS
    with translated_database_errors():
        async with asyncio.timeout(seconds):
            yield


class Database:
    """A pool of connections, and ways to use one."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        parsed = async_url(url)
        options = engine_options(parsed, pool_size=pool_size)
        if parsed.get_backend_name() == "postgresql":
            options["connect_args"] |= {"async_creator_fn": ImpatientConnection.connect}
        self._engine = create_async_engine(parsed, **options)
        configure_engine(self._engine.sync_engine, busy_timeout=BUSY_TIMEOUT)
        self._readers = async_sessionmaker(self._engine, expire_on_commit=False)
        writing = self._engine.execution_options(**{WRITE_OPTION: True})
        self._writers = async_sessionmaker(writing, expire_on_commit=False)
        self._writer_turn: asyncio.Lock | None = None
        self._threads: _ThreadedDatabase | None = None
        if parsed.get_backend_name() == "sqlite":
            self._writer_turn = asyncio.Lock()
            self._threads = _ThreadedDatabase(url, pool_size=pool_size)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads. Raises MediaServiceError (unavailable) if the database is away."""
        with translated_database_errors():
            async with self._patience(), self._readers() as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: commits at the end of the block, rolls back on any exception.

        Raises MediaServiceError (unavailable) if the database is away; the caller then cannot know
        whether a commit took place (RELIABILITY F19) and must look before it repeats.
        """
        with translated_database_errors():
            async with (
                self._patience(),
                self._turn_to_write(),
                self._writers() as session,
                session.begin(),
            ):
                yield session

    async def run_read(self, work: Callable[[Session], T]) -> T:
        """Run `work` with a session that only reads, and return what it returns. For the hottest statements.

        `work` may not await. With SQLite it runs in a thread, so a whole transaction costs one hop and not
        one per statement; with PostgreSQL it runs on the event loop's own connection. It may be used where
        `read` may, and raises the same.
        """
        with translated_database_errors():
            if self._threads is not None:
                return await self._threads.run_read(work)
            async with self._patience(), self._readers() as session:
                return await session.run_sync(work)

    async def run_transaction(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction, as `run_read` runs its work and `transaction` its block.

        `work` is run again, from its beginning, if another transaction got into its way (deadlock,
        serialization failure): it may do nothing but talk to its session.
        """
        with translated_database_errors():
            if self._threads is not None:
                async with self._turn_to_write():
                    return await self._threads.run_transaction(work)
            async with self._patience():
                return await self._try_to_write(work)

    async def _try_to_write(self, work: Callable[[Session], T]) -> T:
        tries = 0
        while True:
            tries += 1
            try:
                async with self._writers() as session, session.begin():
                    return await session.run_sync(work)
            except OperationalError as error:
                if tries == MAX_TRIES or not may_pass_at_once(error):
                    raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * tries)  # noqa: S311 - keeps two losers apart

    def _patience(self) -> AbstractAsyncContextManager[object]:
        """Bounds a use of the server.

        SQLite's waits have bounds of their own, and its threads cannot be cut: one that was given up could
        commit later what its request has taken back.
        """
        return nullcontext() if self._threads is not None else asyncio.timeout(PATIENCE_SECONDS)

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[None]:
        """Queue up for SQLite's only writer, without holding a connection of the pool meanwhile.

        Its busy timeout is no queue: who waits sleeps and tries again, newcomers overtake, and under 16
        clients some starve until they fail (measured: p99 of an upload 2.8 s against 0.5 s in turn).
        """
        if self._writer_turn is None:
            yield
            return
        try:
            async with asyncio.timeout(WRITER_TURN_SECONDS):
                await self._writer_turn.acquire()
        except TimeoutError as error:
            raise PoolTimeoutError("no turn to write") from error
        try:
            yield
        finally:
            self._writer_turn.release()

    async def check(self) -> None:
        """Show that the database answers."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()
        if self._threads is not None:
            self._threads.close()


class _ThreadedDatabase:
    """The blocking database of SQLite, used from as many threads as it has connections."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self._database = blocking_database.Database(url, pool_size=pool_size, busy_timeout=BUSY_TIMEOUT)
        self._pool_size = pool_size
        self._limiter: CapacityLimiter | None = None

    async def run_read(self, work: Callable[[Session], T]) -> T:
        return await self._run(self._database.read, work)

    async def run_transaction(self, work: Callable[[Session], T]) -> T:
        return await self._run(self._database.transaction, work)

    async def _run(
        self, open_session: Callable[[], AbstractContextManager[Session]], work: Callable[[Session], T]
    ) -> T:
        def run() -> T:
            with open_session() as session:
                return work(session)

        # A limiter belongs to a running event loop, so it cannot be made where the object is.
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._pool_size)
        return await to_thread.run_sync(run, limiter=self._limiter)

    def close(self) -> None:
        self._database.close()
