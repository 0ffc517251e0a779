"""The async database. API room.

A function that takes `Database` owns its transaction; one that takes a session is inside somebody else's
and never commits. No transaction is open while bytes move.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from media_service import tables  # noqa: F401 - the mappings must be complete before the first statement
from media_service.dialects import (
    WRITE_OPTION,
    async_url,
    configure_engine,
    engine_options,
    translated_database_errors,
)


class Database:
    """A pool of connections and two ways to use one."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        parsed = async_url(url)
        self._engine = create_async_engine(parsed, **engine_options(parsed, pool_size=pool_size))
        configure_engine(self._engine.sync_engine)
        self._readers = async_sessionmaker(self._engine, expire_on_commit=False)
        writing = self._engine.execution_options(**{WRITE_OPTION: True})
        self._writers = async_sessionmaker(writing, expire_on_commit=False)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads. Raises MediaServiceError (unavailable) if the database is away."""
        with translated_database_errors():
            async with self._readers() as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: commits at the end of the block, rolls back on any exception.

        Raises MediaServiceError (unavailable) if the database is away; the caller then cannot know
        whether a commit took place (RELIABILITY F19) and must look before it repeats.
        """
        with translated_database_errors():
            async with self._writers() as session, session.begin():
                yield session

    async def check(self) -> None:
        """Show that the database answers."""
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()
