"""One large upload at a time, multipart and raw: MB/s, and how far the API process grows."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.bodies import FORM_END, MULTIPART, form_start, head
from tests.benchmarks.connection import Connection
from tests.benchmarks.processes import PeakMemory, measured
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import MIB, Scale
from tests.benchmarks.servers import Server, baseline, our_service

PIECE = bytes(range(256)) * 4096
"""1 MiB of no known type, sent again and again."""
MAX_ROUNDS = 3
"""A turn of 1 GiB takes seconds; its median is steady after three."""


def streaming(folder: Path, scale: Scale) -> list[Row]:
    with our_service(folder / "ours") as ours, baseline(folder / "naive") as naive:
        # Before the first upload: what an allocator keeps afterwards is growth as well.
        idle_ours, idle_naive = (PeakMemory(server.api_pid).now() / MIB for server in (ours, naive))
        rows = []
        for size in scale.stream_bytes:
            form, raw = partial(_form, size=size), partial(_raw, size=size)
            turns = {
                "multipart": partial(_turn, ours, form, "/v1/files", size),
                "raw": partial(_turn, ours, raw, "/v1/files?filename=a.bin", size),
                "UploadFile": partial(_turn, naive, form, "/files", size),
                "UploadFile + fsync": partial(_turn, naive, form, "/files?durable=1", size),
            }
            found = interleave(turns, rounds=min(scale.rounds, MAX_ROUNDS))
            for name, sample in found.items():
                sample["growth"] = sample["peak"] - (idle_naive if "UploadFile" in name else idle_ours)
            rows += _rows(size, found)
    return rows


def _form(server: Server, path: str, *, size: int) -> Iterator[bytes]:
    start = form_start("large.bin", "application/octet-stream")
    headers = {**server.headers, "Content-Type": MULTIPART}
    yield head("POST", path, headers, length=len(start) + size + len(FORM_END))
    yield start
    yield from _pieces(size)
    yield FORM_END


def _raw(server: Server, path: str, *, size: int) -> Iterator[bytes]:
    headers = {**server.headers, "Content-Type": "application/octet-stream"}
    yield head("POST", path, headers, length=size)
    yield from _pieces(size)


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(PIECE)):
        yield PIECE


def _turn(server: Server, pieces: Callable[[Server, str], Iterator[bytes]], path: str, size: int) -> Sample:
    with Connection(server.port) as connection:
        with PeakMemory(server.api_pid) as memory, measured(server.pid) as sample:
            answer = connection.ask(pieces(server, path)).json()
        # At once, so that nobody else's turn pays for writing these bytes out.
        file_id = answer["items"][0]["id"] if "items" in answer else answer["id"]
        connection.ask([head("DELETE", f"{path.partition('?')[0]}/{file_id}", server.headers)])
    return {
        "rate": size / sample["seconds"] / 1e6,
        "cpu": sample["cpu"] / (size / 1e9),
        "client_cpu": sample["client_cpu"] / (size / 1e9),
        "peak": memory.peak_bytes / MIB,
    }


def _rows(size: int, found: dict[str, Sample]) -> list[Row]:
    naive = found["UploadFile"]
    rows = []
    for kind in ("multipart", "raw"):
        ours, what = found[kind], f"upload {size // MIB} MiB {kind}"
        target = ">= 1.4 x" if kind == "multipart" else ""
        client = {"client_cpu_per_gb": ours["client_cpu"]}
        durable = found["UploadFile + fsync"]["rate"]
        rows += [
            Row(what, "MB/s", ours["rate"], "UploadFile", naive["rate"], target, client),
            Row(what, "MB/s", ours["rate"], "UploadFile + fsync", durable),
            Row(f"{what}, CPU", "s/GB", ours["cpu"], "UploadFile", naive["cpu"]),
            Row(f"{what}, memory", "MiB", ours["growth"], "UploadFile", naive["growth"], "<= 64"),
        ]
    return rows
