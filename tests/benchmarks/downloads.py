"""Downloads with credentials beside FileResponse without: 20 KB by 16 clients, and large files by one."""

import os
from functools import partial
from pathlib import Path

from tests.benchmarks.bodies import form_post, head
from tests.benchmarks.connection import Connection
from tests.benchmarks.crowd import run_crowd
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import CLIENTS, MIB, SMALL_BYTES, Scale
from tests.benchmarks.servers import Server, baseline, our_service

FILES = 32
"""Small files that are asked for in turn: more than one, so that nothing is measured that knows only one."""


def downloads(folder: Path, scale: Scale) -> list[Row]:
    with our_service(folder / "ours") as ours, baseline(folder / "naive") as naive:
        small = {
            "ours": partial(_small_turn, ours, _stored(ours, SMALL_BYTES, FILES), scale.small_requests),
            "theirs": partial(_small_turn, naive, _stored(naive, SMALL_BYTES, FILES), scale.small_requests),
        }
        for turn in small.values():
            turn()
        rows = _small_rows(interleave(small, rounds=scale.rounds))
        for size in scale.stream_bytes:
            large = {
                "ours": partial(_large_turn, ours, _stored(ours, size, 1)[0], size),
                "theirs": partial(_large_turn, naive, _stored(naive, size, 1)[0], size),
            }
            rows += _large_rows(size, interleave(large, rounds=scale.rounds))
    return rows


def _stored(server: Server, size: int, count: int) -> list[bytes]:
    """Upload files and return the requests that fetch them."""
    is_ours = bool(server.headers)
    path = "/v1/files" if is_ours else "/files"
    requests = []
    with Connection(server.port) as connection:
        for _ in range(count):
            answer = connection.ask([form_post(path, server.headers, os.urandom(size))]).json()
            found = f"{answer['items'][0]['id']}/content" if is_ours else answer["id"]
            requests.append(head("GET", f"{path}/{found}", server.headers))
    return requests


def _small_turn(server: Server, requests: list[bytes], count: int) -> Sample:
    with measured(server.pid) as sample:
        if run_crowd(server.port, requests, clients=CLIENTS, count=count):
            raise RuntimeError("a download was refused")
    return {
        "rate": count / sample["seconds"],
        "cpu": 1000 * sample["cpu"] / count,
        "client_cpu": 1000 * sample["client_cpu"] / count,
    }


def _large_turn(server: Server, request: bytes, size: int) -> Sample:
    with Connection(server.port) as connection, measured(server.pid) as sample:
        answer = connection.ask([request], keep_body=False)
    if answer.body_bytes != size:
        raise RuntimeError(f"{answer.body_bytes} bytes instead of {size}")
    return {"rate": size / sample["seconds"] / 1e6, "cpu": sample["cpu"] / (size / 1e9)}


def _small_rows(found: dict[str, Sample]) -> list[Row]:
    ours, theirs = found["ours"], found["theirs"]
    client = {"client_cpu": {"ours": ours["client_cpu"], "theirs": theirs["client_cpu"]}}
    return [
        Row("GET 20 KB", "/s", ours["rate"], "FileResponse", theirs["rate"], extra=client),
        Row("GET 20 KB, CPU", "s/1000", ours["cpu"], "FileResponse", theirs["cpu"], "<= 0.15 x"),
    ]


def _large_rows(size: int, found: dict[str, Sample]) -> list[Row]:
    ours, theirs, what = found["ours"], found["theirs"], f"GET {size // MIB} MiB"
    return [
        Row(what, "MB/s", ours["rate"], "FileResponse", theirs["rate"], ">= 2.5 x"),
        Row(f"{what}, CPU", "s/GB", ours["cpu"], "FileResponse", theirs["cpu"]),
    ]
