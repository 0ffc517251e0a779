"""Where PostgreSQL and SQLite differ, in one place. Core room: configures engines, runs nothing itself.

One URL serves both sides: `postgresql+psycopg://` is one driver with a blocking and an async face,
`sqlite:///` becomes `aiosqlite` in the API and `pysqlite` in the workers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, BigInteger, Connection, Engine, event, literal, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from media_service.exceptions import ErrorKind, MediaServiceError

WRITE_OPTION = "media_write"
"""Execution option of an engine whose transactions will write; read by the `begin` hook for SQLite."""

CONNECT_TIMEOUT_SECONDS = 3
STATEMENT_TIMEOUT = timedelta(seconds=5)
"""Longer than any statement of ours takes; a hung database answers 503 instead of holding requests."""
POOL_TIMEOUT_SECONDS = 3
SQLITE_BUSY_TIMEOUT = timedelta(seconds=5)
"""How long a writer of SQLite waits for one of another process. The API, whose clients wait, waits less."""
TCP_OPTIONS = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""So that a connection whose other end vanished without a word is given up after 15 to 25 s, and not after
the two hours of the kernel's defaults (libpq, "Parameter Key Words"; the last one in milliseconds)."""


def sync_url(url: str) -> URL:
    """The URL for blocking use. Raises ArgumentError for something that is no database URL."""
    return _with_driver(make_url(url), sqlite="pysqlite")


def async_url(url: str) -> URL:
    """The URL for use from the event loop."""
    return _with_driver(make_url(url), sqlite="aiosqlite")


def _with_driver(url: URL, *, sqlite: str) -> URL:
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    return url.set(drivername=f"{backend}+{sqlite}") if backend == "sqlite" else url


def engine_options(url: URL, *, pool_size: int) -> dict[str, Any]:
    """Keyword arguments for `create_engine` and `create_async_engine`.

    Errors of SQL reach the log, and parameters are digests, addresses and names: they stay out.
    """
    if url.get_backend_name() == "sqlite":
        return {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": POOL_TIMEOUT_SECONDS * 2,
            "hide_parameters": True,
        }
    milliseconds = int(STATEMENT_TIMEOUT.total_seconds() * 1000)
    return {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECONDS,
        "pool_recycle": 1800,
        "pool_pre_ping": True,
        "pool_use_lifo": True,
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout=3000 "
            "-c idle_in_transaction_session_timeout=10000 -c timezone=UTC",
            **TCP_OPTIONS,
        },
    }


def configure_engine(engine: Engine, *, busy_timeout: timedelta = SQLITE_BUSY_TIMEOUT) -> None:
    """Teach an engine what its database needs; call once, before the first connection."""

    def prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own BEGIN comes late and is always deferred; ours (below) is explicit.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            # An acknowledged upload must survive a power cut, so each commit is synced.
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={int(busy_timeout.total_seconds() * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that later writes can fail with SQLITE_BUSY at once, without waiting for
    # the busy timeout; one that takes the write lock first waits its turn.
    writes = connection.get_execution_options().get(WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")


UNAVAILABLE_CODE = "database-unavailable"

_PASSING = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock (PostgreSQL, "Error Codes"): tried again, the transaction may pass."""


_FOREIGN_KEY = "23503"
"""PostgreSQL's messages may be in the language of its machine, and quote values; its codes do not."""


def may_pass_at_once(error: BaseException) -> bool:
    """Whether two transactions got into each other's way, so that the loser may simply run again."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) in _PASSING


def is_of_foreign_key(error: IntegrityError) -> bool:
    """Whether a row refers to one that is not there, or is referred to."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(state == _FOREIGN_KEY)
    return str(error.orig) == "FOREIGN KEY constraint failed"  # SQLite's error code says no more


@contextmanager
def translated_database_errors() -> Iterator[None]:
    """Turn "the database is away" into our own error; a constraint violation is the caller's to judge.

    InternalError is how psycopg spells a server that became a read-only replica (25006) and a transaction
    that the server gave up (25P02, 25P03): both pass, as an outage does. TimeoutError is our own patience.
    """
    try:
        yield
    except (OperationalError, InterfaceError, InternalError, PoolTimeoutError, TimeoutError) as error:
        raise MediaServiceError(
            ErrorKind.UNAVAILABLE, UNAVAILABLE_CODE, "The database does not answer; try again later."
        ) from error


def is_unavailable(error: BaseException) -> bool:
    """Whether the database was away: then nobody can know whether a commit took effect, or will."""
    return isinstance(error, MediaServiceError) and error.code == UNAVAILABLE_CODE


class transaction_lock(FunctionElement[None]):  # noqa: N801 - used like an SQL function
    """`select(transaction_lock(number))`: one transaction at a time passes, until it ends.

    SQLite needs none: its writing transactions exclude each other from their first moment.
    """

    inherit_cache = True
    name = "transaction_lock"

    def __init__(self, number: int) -> None:
        super().__init__(literal(number, BigInteger()))


@compiles(transaction_lock, "postgresql")
def _transaction_lock_postgresql(element: transaction_lock, compiler: SQLCompiler, **kw: Any) -> str:
    return f"pg_advisory_xact_lock({compiler.process(element.clauses, **kw)})"


@compiles(transaction_lock, "sqlite")
def _transaction_lock_sqlite(element: transaction_lock, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ARG001 - the compiler's signature
    return "NULL"


class now_ms(FunctionElement[int]):  # noqa: N801 - spelled like the SQL function that it is
    """Milliseconds since 1970 by the database's clock: the only clock that leases may compare."""

    type = BigInteger()
    inherit_cache = True
    name = "now_ms"


@compiles(now_ms, "postgresql")
def _now_ms_postgresql(element: now_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ARG001 - the compiler's signature
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_ms, "sqlite")
def _now_ms_sqlite(element: now_ms, compiler: SQLCompiler, **_: Any) -> str:  # noqa: ARG001 - the compiler's signature
    # unixepoch('subsec') needs SQLite 3.42; 2440587.5 is the Julian day of 1970-01-01.
    return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


def later_ms(duration: timedelta) -> ColumnElement[int]:
    """A moment from now, as `now_ms` counts."""
    return now_ms() + int(duration.total_seconds() * 1000)
