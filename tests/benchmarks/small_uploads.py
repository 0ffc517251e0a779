"""20 KB files that need no job, 16 clients: uploads per second and CPU of the whole tree."""

import os
from functools import partial
from pathlib import Path

from tests.benchmarks.bodies import form_post
from tests.benchmarks.crowd import run_crowd
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import CLIENTS, SMALL_BYTES, Scale
from tests.benchmarks.servers import Server, baseline, our_service

WARM_UP_REQUESTS = 100


def small_uploads(folder: Path, scale: Scale) -> list[Row]:
    data = os.urandom(SMALL_BYTES)  # bytes of no known type: stored and ready at once
    with our_service(folder / "ours") as ours, baseline(folder / "naive") as naive:
        contenders = {
            "ours": (ours, form_post("/v1/files", ours.headers, data)),
            "UploadFile": (naive, form_post("/files", {}, data)),
            "UploadFile + fsync": (naive, form_post("/files?durable=1", {}, data)),
        }
        for server, request in contenders.values():
            run_crowd(server.port, [request], clients=CLIENTS, count=WARM_UP_REQUESTS)
        runs = {
            name: partial(_turn, server, request, scale.small_requests)
            for name, (server, request) in contenders.items()
        }
        found = interleave(runs, rounds=scale.rounds)
    rows = [row for name in list(found)[1:] for row in _rows(name, found["ours"], found[name])]
    return [*rows, Row("upload 20 KB, refused", "requests", found["ours"]["refused"], target="<= 0")]


def _turn(server: Server, request: bytes, count: int) -> Sample:
    with measured(server.pid) as sample:
        refused = run_crowd(server.port, [request], clients=CLIENTS, count=count)
    return {
        "rate": (count - refused) / sample["seconds"],
        "refused": float(refused),
        "cpu": 1000 * sample["cpu"] / count,
        "client_cpu": 1000 * sample["client_cpu"] / count,
    }


def _rows(name: str, ours: Sample, theirs: Sample) -> list[Row]:
    is_plain = name == "UploadFile"
    extra = {"client_cpu": {"ours": ours["client_cpu"], "theirs": theirs["client_cpu"]}}
    return [
        Row("upload 20 KB", "/s", ours["rate"], name, theirs["rate"], ">= 0.8 x" if is_plain else "", extra),
        Row("upload 20 KB, CPU", "s/1000", ours["cpu"], name, theirs["cpu"], "<= 1.6 x" if is_plain else ""),
    ]
