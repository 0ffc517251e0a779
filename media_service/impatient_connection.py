"""A connection to PostgreSQL that can be given up at once. API room."""

import asyncio
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.waiting import wait_async

RV = TypeVar("RV")


class ImpatientConnection(AsyncConnection[TupleRow]):
    """Closes itself when whoever waits for an answer is cancelled.

    psycopg's own first asks the server, over another connection, to cancel the statement, and waits up to
    ten seconds for that: a server that hangs would hold a request which has long been given up. Here the
    server sees a broken connection, and ends the statement by its own timeout at the latest.
    """

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:  # noqa: ASYNC109 - psycopg's signature
        """As psycopg's. `interval` and `timeout` in seconds."""
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise
