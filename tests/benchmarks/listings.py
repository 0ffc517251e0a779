"""Pages of a list of a million files: the first, a deep one, filtered ones, as a client waits for them."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

from media_service.auth.keys import generate_key
from media_service.auth.models import ApiKey, KeyOrigin, Role, User
from media_service.blocking_database import Database
from media_service.files.terms import terms_of
from media_service.models import new_id
from media_service.pagination import Cursor, encode_cursor
from tests.benchmarks.bodies import head
from tests.benchmarks.bulk import insert_rows
from tests.benchmarks.connection import Connection
from tests.benchmarks.report import Row
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import Server, our_service
from tests.support.postgres import PostgresServer

ASKED = 9
"""Times that each page is asked for; the first answers fill caches, and the median leaves them out."""
EVERY_RARE = 10_000
OTHERS = 10
"""One file in so many belongs to somebody else."""

CREATED = "2026-11-01 12:00:00.000000"
CREATED_ZONED = f"{CREATED}+00"
FILE_COLUMNS = (
    "id owner_id filename content_type size_bytes sha256 kind status visibility tags custom media version "
    "url_epoch created_at updated_at"
)


@dataclass(frozen=True)
class Crowd:
    """An owner with very many files, and a few of them to begin pages at."""

    headers: dict[str, str]
    middle: str
    """The cursor of a page deep inside."""
    middle_by_name: str


def listings(folder: Path, scale: Scale) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(tcp=True))
        postgres.create_database(name="lists")
        urls = {
            "PostgreSQL": postgres.tcp_url("lists"),
            "SQLite": f"sqlite:///{folder / 'SQLite' / 'lists.db'}",
        }
        for name, target in (("PostgreSQL", "<= 50"), ("SQLite", "<= 150")):
            with our_service(folder / name, MEDIA_DATABASE_URL=urls[name], MEDIA_CACHE_TTL="0") as server:
                crowd = fill(urls[name], scale.listed_files)
                rows += _rows(name, server, crowd, count=scale.listed_files, target=target)
    return rows


def _rows(name: str, server: Server, crowd: Crowd, *, count: int, target: str) -> list[Row]:
    pages = {
        "first page": "",
        "deep page": f"cursor={crowd.middle}",
        "by status (rare)": "status=failed",
        "by status, deep": f"status=ready&cursor={crowd.middle}",
        "by kind": "kind=video",
        "by tag (every second file)": "tag=common",
        "by tag, deep": f"tag=common&cursor={crowd.middle}",
        "by tag (rare)": "tag=rare",
        "by tag and kind": "tag=common&kind=video",
        "by a common word": "q=photo+jpg",
        "by the beginning of a word": "q=rar",
        "public ones": "visibility=public",
        "in order of names": "order=filename",
        "in order of names, deep": f"order=filename&cursor={crowd.middle_by_name}",
    }
    rows = []
    with Connection(server.port) as connection:
        for what, query in pages.items():
            request = head("GET", f"/v1/files?limit=50&{query}", crowd.headers)
            times = [_milliseconds(connection, request) for _ in range(ASKED)]
            # A word that a million files share costs SQLite a list of them all; PostgreSQL knows better.
            wanted = "" if "common word" in what else target
            rows.append(Row(f"list of {count:,} in {name}, {what}", "ms", median(times), target=wanted))
    return rows


def _milliseconds(connection: Connection, request: bytes) -> float:
    started = time.perf_counter()
    connection.ask([request])
    return 1000 * (time.perf_counter() - started)


def fill(url: str, count: int) -> Crowd:
    """Make the files of an owner, as rows only: nothing here reads their bytes."""
    owner, other = (User(id=new_id(), role=Role.USER) for _ in range(2))
    key = generate_key(owner_id=owner.id, name="lists", scopes=["files:read"], origin=KeyOrigin.API)
    database = Database(url, pool_size=1)
    with database.transaction() as session:
        session.add_all([owner, other])
        session.flush()
        session.add(ApiKey(**key.row.column_values()))
    database.close()
    ids = [new_id() for _ in range(count)]
    is_sqlite = url.startswith("sqlite")
    created = CREATED if is_sqlite else CREATED_ZONED

    def spelled(row_id: UUID) -> str:
        return row_id.hex if is_sqlite else str(row_id)

    def of(number: int) -> str:
        return spelled(other.id if number % OTHERS == 1 else owner.id)

    def file_rows() -> Iterator[tuple[object, ...]]:
        for number, file_id in enumerate(ids):
            yield (spelled(file_id), of(number), *_described(number), created, created)

    def rows_of_terms() -> Iterator[tuple[object, ...]]:
        for number, file_id in enumerate(ids):
            for term in terms_of(_name(number), _tags(number)):
                yield (spelled(file_id), term, of(number))

    insert_rows(url, "files", FILE_COLUMNS.split(), file_rows())
    insert_rows(url, "file_terms", ["file_id", "term", "owner_id"], rows_of_terms())
    middle = count // 2
    return Crowd(
        {"Authorization": f"Bearer {key.text}"},
        encode_cursor(Cursor(ids[middle])),
        encode_cursor(Cursor(ids[middle], _name(middle))),
    )


def _described(number: int) -> tuple[object, ...]:
    return (
        _name(number),
        "image/jpeg",
        1000 + number,
        "0" * 64,
        "video" if number % 50 == 3 else "image",
        "failed" if number % EVERY_RARE == 0 else "ready",
        "public" if number % 1000 == 0 else "private",
        json.dumps(_tags(number)),
        "{}",
        "{}",
        1,
        0,
    )


def _name(number: int) -> str:
    return f"photo {number:07}{' rarity' if number % EVERY_RARE == 0 else ''}.jpg"


def _tags(number: int) -> list[str]:
    return [*(["common"] if number % 2 else []), *(["rare"] if number % EVERY_RARE == 0 else [])]
