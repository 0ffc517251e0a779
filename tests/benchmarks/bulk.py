"""Very many rows at once, by each database's fastest way."""

import sqlite3
from collections.abc import Iterator, Sequence

import psycopg


def insert_rows(url: str, table: str, columns: Sequence[str], rows: Iterator[tuple[object, ...]]) -> None:
    """Insert and, as a database does by itself after a while, gather statistics."""
    names = ", ".join(columns)
    if url.startswith("sqlite:///"):
        marks = ", ".join("?" * len(columns))
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        with connection:
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 - our own names
        connection.close()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as server:
        with server.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        server.execute(f"VACUUM ANALYZE {table}")
