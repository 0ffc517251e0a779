"""Descriptions and pages of a list: from the database, from Redis, and known to the client already."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from media_service.models import new_id
from tests.benchmarks.bodies import head
from tests.benchmarks.bulk import insert_rows
from tests.benchmarks.connection import Connection
from tests.benchmarks.listings import CREATED, CREATED_ZONED, fill
from tests.benchmarks.processes import cpu_seconds, tree
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import Server, our_service
from tests.support.postgres import PostgresServer

FILES = 500
PAGE = 50
PRESETS = ("thumb", "small", "large")
RENDITION_COLUMNS = "id file_id name recipe content_type width_px height_px size_bytes sha256 created_at"
PER_TURN = 200
"""Requests, one after the other: enough for psutil's steps of 10 ms."""


def descriptions(folder: Path, scale: Scale) -> list[Row]:
    rows = []
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(tcp=True))
        postgres.create_database(name="shown")
        urls = {
            "PostgreSQL": postgres.tcp_url("shown"),
            "SQLite": f"sqlite:///{(folder / 'shown.db').resolve()}",
        }
        folder.mkdir(parents=True)
        for name, url in urls.items():
            database_pid = postgres.pid if name == "PostgreSQL" else None
            with (
                our_service(folder / name / "off", MEDIA_DATABASE_URL=url, MEDIA_CACHE_TTL="0") as off,
                our_service(folder / name / "on", MEDIA_DATABASE_URL=url, MEDIA_CACHE_TTL="3600") as on,
            ):
                rows += _compared(name, on, off, database_pid, _fill(url, off), rounds=scale.rounds)
    return rows


def _compared(
    name: str, on: Server, off: Server, database_pid: int | None, headers: dict[str, str], *, rounds: int
) -> list[Row]:
    rows = []
    for what, path in {"file": _first_file(off, headers), "page": f"/v1/files?limit={PAGE}"}.items():
        plain = head("GET", path, headers)
        with Connection(off.port) as connection:
            known = head("GET", path, {**headers, "If-None-Match": connection.ask([plain]).header("etag")})
        found = interleave(
            {
                "database": partial(_turn, off, database_pid, plain),
                "Redis": partial(_turn, on, database_pid, plain),
                "304": partial(_turn, on, database_pid, known),
            },
            rounds=rounds,
        )
        for way in ("Redis", "304"):
            for figure, unit in (("p50", "ms"), ("cpu", "ms CPU")):
                ours, theirs = found[way][figure], found["database"][figure]
                # Waiting depends on what else the machine does; work does not.
                target = "<= 0.8 x" if figure == "cpu" else ""
                told = f"{what}, {way}, {name}"
                rows.append(Row(told, unit, ours, "from the database", theirs, target))
    return rows


def _turn(server: Server, database_pid: int | None, request: bytes) -> Sample:
    pids = [*_answering(server), *([] if database_pid is None else [database_pid])]
    times = []
    with Connection(server.port) as connection:
        connection.ask([request])
        before = sum(map(cpu_seconds, pids))
        for _ in range(PER_TURN):
            started = time.perf_counter()
            connection.ask([request])
            times.append(1000 * (time.perf_counter() - started))
    return {"p50": median(times), "cpu": 1000 * (sum(map(cpu_seconds, pids)) - before) / PER_TURN}


def _answering(server: Server) -> list[int]:
    """The processes that take part: the API and Redis, and not the workers, who are idle but never quite."""
    found = [process.pid for process in tree(server.pid) if "valkey" in process.name()]
    return [server.api_pid, *found]


def _fill(url: str, server: Server) -> dict[str, str]:
    """Files with renditions; returns the credentials of their owner."""
    headers = fill(url, FILES).headers
    created = CREATED if url.startswith("sqlite") else CREATED_ZONED

    def rendition_rows(ids: list[str]) -> Iterator[tuple[Any, ...]]:
        for file_id in ids:
            spelled = file_id.replace("-", "") if url.startswith("sqlite") else file_id
            for width, name in enumerate(PRESETS, start=256):
                rendition_id = new_id().hex if url.startswith("sqlite") else str(new_id())
                described = (name, "0" * 16, "image/webp", width, 192, 8123, "0" * 64, created)
                yield (rendition_id, spelled, *described)

    with Connection(server.port) as connection:
        page = connection.ask([head("GET", "/v1/files?limit=200", headers)]).json()
    insert_rows(
        url, "renditions", RENDITION_COLUMNS.split(), rendition_rows([item["id"] for item in page["items"]])
    )
    return headers


def _first_file(server: Server, headers: dict[str, str]) -> str:
    with Connection(server.port) as connection:
        page = connection.ask([head("GET", "/v1/files?limit=1", headers)]).json()
    return f"/v1/files/{page['items'][0]['id']}"
