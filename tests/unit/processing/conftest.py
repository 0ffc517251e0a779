"""One sandbox for all, and a short way to process bytes. The test process itself stays without libvips."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from media_service.transforms.spec import Preset
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.results import ProcessedImage
from workers.processing.sandbox import Sandbox

Process = Callable[..., ProcessedImage]

PNG_BOXES = (Preset(name="big", width_px=400, height_px=400, format="png"),)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=SandboxLimits(), image_limits=ImageLimits()) as started:
        yield started


@pytest.fixture
def process(sandbox: Sandbox, tmp_path: Path) -> Process:
    """`process(data, content_type, presets)`: by default one lossless rendition of 400 px."""
    return make_process(sandbox, tmp_path)


def make_process(sandbox: Sandbox, folder: Path) -> Process:
    def run(
        data: bytes, content_type: str = "image/jpeg", presets: Sequence[Preset] = PNG_BOXES
    ) -> ProcessedImage:
        number = len(list(folder.iterdir()))
        source, output_dir = folder / f"source-{number}", folder / f"output-{number}"
        source.write_bytes(data)
        output_dir.mkdir()
        return sandbox.process_image(
            source, content_type=content_type, presets=presets, output_dir=output_dir
        )

    return run
