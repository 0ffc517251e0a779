"""The blocking database: the twin of `database.py`. Worker room.

The workers use it as it is; the API uses it from threads where it has SQLite (`Database.run_read`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from media_service import tables  # noqa: F401 - the mappings must be complete before the first statement
from media_service.dialects import (
    SQLITE_BUSY_TIMEOUT,
    WRITE_OPTION,
    configure_engine,
    engine_options,
    sync_url,
    translated_database_errors,
)


class Database:
    """A pool of connections and two ways to use one."""

    def __init__(self, url: str, *, pool_size: int, busy_timeout: timedelta = SQLITE_BUSY_TIMEOUT) -> None:
        parsed = sync_url(url)
        self._engine = create_engine(parsed, **engine_options(parsed, pool_size=pool_size))
        configure_engine(self._engine, busy_timeout=busy_timeout)
        self._readers = sessionmaker(self._engine, expire_on_commit=False)
        self._writers = sessionmaker(
            self._engine.execution_options(**{WRITE_OPTION: True}), expire_on_commit=False
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads. Raises MediaServiceError (unavailable) if the database is away."""
        with translated_database_errors(), self._readers() as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: commits at the end of the block, rolls back on any exception."""
        with translated_database_errors(), self._writers() as session, session.begin():
            yield session

    def close(self) -> None:
        self._engine.dispose()
