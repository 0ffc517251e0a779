"""Images on the fly: 12 MP to about 400 px, from the original, from a stored rendition, and once more.

Beside Pillow alone, at its best (draft, one resize), in a warm process without any server: what the work
itself costs in Python.
"""

import io
import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from tests.benchmarks.bodies import form_post, head
from tests.benchmarks.connection import Connection
from tests.benchmarks.crowd import run_crowd
from tests.benchmarks.photos import photo
from tests.benchmarks.processes import measured
from tests.benchmarks.readiness import wait_until_ready
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import CLIENTS, Scale
from tests.benchmarks.servers import Server, our_service

WIDTH_PX, QUALITY = 400, 80
NO_PRESETS = "[]"


def transforms(folder: Path, scale: Scale) -> list[Row]:
    data = photo()
    with (
        our_service(folder / "ladder") as ladder,
        our_service(folder / "bare", MEDIA_PRESETS=NO_PRESETS) as bare,
    ):
        turns = {
            "ladder": partial(_uncached, ladder, _stored(ladder, data), _sizes(), scale.ready_photos),
            "original": partial(_uncached, bare, _stored(bare, data), _sizes(), scale.ready_photos),
            "pillow": partial(_pillow, data, scale.ready_photos),
        }
        for turn in turns.values():
            turn()
        found = interleave(turns, rounds=scale.rounds)
        repeated = interleave({"ours": _repeated_turn(ladder, data, scale)}, rounds=scale.rounds)
    return _rows(found, repeated["ours"])


def _stored(server: Server, data: bytes) -> str:
    with Connection(server.port) as connection:
        post = form_post("/v1/files", server.headers, data, filename="a.jpg")
        file_id: str = connection.ask([post]).json()["items"][0]["id"]
        wait_until_ready(connection, server, file_id)
    return file_id


def _sizes() -> Iterator[str]:
    """Options that nobody has asked for yet, of nearly the same work."""
    return (
        f"w_{WIDTH_PX - number % 20},h_{WIDTH_PX + number // 20},f_jpeg,q_{QUALITY}"
        for number in itertools.count()
    )


def _uncached(server: Server, file_id: str, sizes: Iterator[str], count: int) -> Sample:
    requests = [head("GET", f"/v1/images/{file_id}/{next(sizes)}", server.headers) for _ in range(count)]
    times = []
    with Connection(server.port) as connection, measured(server.pid) as sample:
        for request in requests:
            started = time.perf_counter()
            answer = connection.ask([request], keep_body=False)
            times.append(time.perf_counter() - started)
            if answer.status != 200:
                raise RuntimeError(f"an image was answered with {answer.status}")
    return {"ms": 1000 * sorted(times)[len(times) // 2], "cpu": 1000 * sample["cpu"] / count}


def _pillow(data: bytes, count: int) -> Sample:
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        with Image.open(io.BytesIO(data)) as image:
            height = round(WIDTH_PX * image.height / image.width)
            image.draft("RGB", (WIDTH_PX, height))
            image.resize((WIDTH_PX, height), Image.Resampling.LANCZOS).save(
                io.BytesIO(), "JPEG", quality=QUALITY
            )
    return {
        "ms": 1000 * (time.perf_counter() - started) / count,
        "cpu": 1000 * (time.process_time() - cpu) / count,
    }


def _repeated_turn(server: Server, data: bytes, scale: Scale) -> "partial[Sample]":
    file_id = _stored(server, data)
    request = head("GET", f"/v1/images/{file_id}/w_{WIDTH_PX},f_jpeg", server.headers)
    run_crowd(server.port, [request], clients=1, count=1)
    return partial(_repeated, server, request, scale.small_requests)


def _repeated(server: Server, request: bytes, count: int) -> Sample:
    with measured(server.pid) as sample:
        if run_crowd(server.port, [request], clients=CLIENTS, count=count):
            raise RuntimeError("a stored image was refused")
    return {"rate": count / sample["seconds"], "cpu": 1000 * sample["cpu"] / count}


def _rows(found: dict[str, Sample], repeated: Sample) -> list[Row]:
    ladder, original, pillow = found["ladder"], found["original"], found["pillow"]
    what, name = f"12 MP to {WIDTH_PX} px", "Pillow alone"
    return [
        Row(f"{what}, from the original", "ms", original["ms"], name, pillow["ms"]),
        Row(f"{what}, from the original, CPU", "ms", original["cpu"], name, pillow["cpu"]),
        Row(f"{what}, from a rendition", "ms", ladder["ms"], "from the original", original["ms"]),
        Row(f"{what}, from a rendition, CPU", "ms", ladder["cpu"], "from the original", original["cpu"]),
        Row(f"{what}, stored", "/s", repeated["rate"]),
        Row(f"{what}, stored, CPU", "s/1000", repeated["cpu"]),
    ]
