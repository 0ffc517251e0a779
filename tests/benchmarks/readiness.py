"""From POST to `ready`, on an idle service and under a burst, beside Pillow inside the handler."""

import threading
import time
from functools import partial
from pathlib import Path
from statistics import quantiles

from tests.benchmarks.bodies import form_post, head
from tests.benchmarks.connection import Connection
from tests.benchmarks.photos import photo
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import Scale
from tests.benchmarks.servers import Server, baseline, our_service, presets

POLL_SECONDS = 0.005
"""Between two looks at a file: the error of one time, and few enough not to disturb the decoder."""
READY_SECONDS = 60
POSTERS = 4
"""Clients of the burst: more than the workers, so that a queue forms."""


def readiness(folder: Path, scale: Scale) -> list[Row]:
    data = photo()
    rows = []
    for format_name in ("jpeg", "webp"):
        place = folder / format_name
        chosen = {"MEDIA_PRESETS": presets(format_name)}
        with our_service(place / "ours", **chosen) as ours, baseline(place / "naive") as naive:
            requests = {
                "ours": (ours, form_post("/v1/files", ours.headers, data, filename="a.jpg")),
                "theirs": (naive, form_post(f"/photos/{format_name}", {}, data, filename="a.jpg")),
            }
            turns = {
                name: partial(_turn, server, request, scale.ready_photos)
                for name, (server, request) in requests.items()
            }
            for turn in turns.values():
                turn()
            rows += _rows(format_name, interleave(turns, rounds=scale.rounds))
    return rows


def _turn(server: Server, request: bytes, count: int) -> Sample:
    with Connection(server.port) as connection:
        times = [_time_to_ready(connection, server, request) for _ in range(count)]
    with measured(server.pid) as sample:
        _burst(server, request, count)
    cuts = quantiles(times, n=20, method="inclusive")
    return {
        "p50": 1000 * cuts[9],
        "p95": 1000 * cuts[18],
        "rate": count / sample["seconds"],
        "cpu": 1000 * sample["cpu"] / count,
    }


def _time_to_ready(connection: Connection, server: Server, request: bytes) -> float:
    started = time.perf_counter()
    answer = connection.ask([request]).json()
    if "items" in answer:
        wait_until_ready(connection, server, answer["items"][0]["id"])
    return time.perf_counter() - started


def wait_until_ready(connection: Connection, server: Server, file_id: str) -> None:
    look = head("GET", f"/v1/files/{file_id}", server.headers)
    deadline = time.monotonic() + READY_SECONDS
    while (file := connection.ask([look]).json())["status"] != "ready":
        if file["status"] == "failed" or time.monotonic() > deadline:
            raise RuntimeError(f"the photo is {file['status']}: {file['status_reason']}")
        time.sleep(POLL_SECONDS)


def _burst(server: Server, request: bytes, count: int) -> None:
    """All photos at once from a few clients; over when the last one is ready."""
    posted: list[str] = []

    def post(share: int) -> None:
        with Connection(server.port) as connection:
            for _ in range(share):
                answer = connection.ask([request]).json()
                posted.extend(item["id"] for item in answer.get("items", []))

    shares = [count // POSTERS + (number < count % POSTERS) for number in range(POSTERS)]
    posters = [threading.Thread(target=post, args=[share]) for share in shares]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    with Connection(server.port) as connection:
        for file_id in posted:
            wait_until_ready(connection, server, file_id)


def _rows(format_name: str, found: dict[str, Sample]) -> list[Row]:
    ours, theirs, name = found["ours"], found["theirs"], "Pillow in the handler"
    what = f"POST to ready, 3 {format_name.upper()}"
    return [
        Row(f"{what}, p50", "ms", ours["p50"], name, theirs["p50"]),
        Row(f"{what}, p95", "ms", ours["p95"], name, theirs["p95"]),
        Row(f"{what}, burst", "photos/s", ours["rate"], name, theirs["rate"]),
        Row(f"{what}, burst CPU", "ms/photo", ours["cpu"], name, theirs["cpu"]),
    ]
