"""A 12 MP JPEG to three renditions: the real sandbox with 2 threads beside naive Pillow in 2 processes."""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Literal

from media_service.transforms.spec import Preset
from tests.benchmarks.naive_pillow import QUALITY, SIZES, make_thumbnails
from tests.benchmarks.photos import photo, ssim_of
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Row
from tests.benchmarks.rounds import Sample, interleave
from tests.benchmarks.scale import Scale
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox

PARALLEL = 2
Make = Callable[[Path], list[Path]]
"""Makes three renditions in an empty folder."""


def renditions(folder: Path, scale: Scale) -> list[Row]:
    source = folder / "photo.jpg"
    folder.mkdir(parents=True)
    source.write_bytes(photo())
    rows = []
    with (
        Sandbox(limits=SandboxLimits(), image_limits=ImageLimits()) as sandbox,
        ThreadPoolExecutor(PARALLEL) as threads,
        ProcessPoolExecutor(PARALLEL, mp_context=get_context("spawn")) as processes,
    ):
        for format_name in ("jpeg", "webp"):
            ours: tuple[Executor, Make] = (threads, partial(_ours, sandbox, source, _presets(format_name)))
            theirs: tuple[Executor, Make] = (processes, partial(_naive, source, format_name))
            contenders = {"ours": ours, "theirs": theirs}
            numbers = itertools.count()
            turns = {
                name: partial(_turn, executor, make, folder / f"{format_name}-{name}", scale.photos, numbers)
                for name, (executor, make) in contenders.items()
            }
            for turn in turns.values():
                turn()
            found = interleave(turns, rounds=scale.rounds)
            quality = {name: _quality(make, folder, source) for name, (_, make) in contenders.items()}
            rows += _rows(format_name, found, quality)
    return rows


def _presets(format_name: Literal["jpeg", "webp"]) -> tuple[Preset, ...]:
    return tuple(
        Preset(name=f"s{size}", width_px=size, height_px=size, format=format_name, quality=QUALITY)
        for size in SIZES
    )


def _ours(sandbox: Sandbox, source: Path, presets: tuple[Preset, ...], folder: Path) -> list[Path]:
    made = sandbox.process_image(source, content_type="image/jpeg", presets=presets, output_dir=folder)
    return [rendition.path for rendition in made.renditions]


def _naive(source: Path, format_name: str, folder: Path) -> list[Path]:
    return make_thumbnails(source, folder, format_name=format_name)


def _turn(executor: Executor, make: Make, folder: Path, count: int, numbers: Iterator[int]) -> Sample:
    targets = [folder / str(next(numbers)) for _ in range(count)]
    for target in targets:
        target.mkdir(parents=True)
    # Both run below this process, which itself waits.
    with measured(os.getpid()) as sample:
        list(executor.map(make, targets))
    return {"rate": count / sample["seconds"], "cpu": 1000 * sample["cpu"] / count}


def _quality(make: Make, folder: Path, source: Path) -> Sample:
    original = source.read_bytes()
    target = folder / f"quality-{len(list(folder.iterdir()))}"
    target.mkdir()
    made = make(target)
    sizes = {f"ssim_{size}": ssim_of(path, original) for size, path in zip(SIZES, made, strict=True)}
    return {"ssim": mean(sizes.values()), "bytes": float(sum(path.stat().st_size for path in made)), **sizes}


def _rows(format_name: str, found: dict[str, Sample], quality: dict[str, Sample]) -> list[Row]:
    ours, theirs, what = found["ours"], found["theirs"], f"12 MP to 3 {format_name.upper()}"
    name, target = "naive Pillow", ">= 4 x" if format_name == "jpeg" else ""
    return [
        Row(what, "photos/s", ours["rate"], name, theirs["rate"], target, {"quality": quality}),
        Row(f"{what}, CPU", "ms/photo", ours["cpu"], name, theirs["cpu"]),
        Row(f"{what}, SSIM", "mean", quality["ours"]["ssim"], name, quality["theirs"]["ssim"], ">= 0.998 x"),
        Row(f"{what}, size", "bytes", quality["ours"]["bytes"], name, quality["theirs"]["bytes"]),
    ]
