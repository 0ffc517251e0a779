"""Every row of the table of hostile images, through the real sandbox.

None may end as a crash, a timeout or for want of memory, though these have names too. That memory is bounded
whatever a decoder does is shown in `test_sandbox`, where the limits of a living child are read.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

from media_service.exceptions import MediaServiceError
from tests.support.hostile_images import READY, ROWS, HostileImage
from tests.unit.processing.conftest import PNG_BOXES
from workers.processing.sandbox import Sandbox

SECONDS = 10
"""On a busy machine; the slowest row takes about one."""


def test_every_class_has_at_least_four_rows():
    assert min(Counter(row.group for row in ROWS).values()) >= 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group}: {row.name}")
def test_hostile_image_has_a_named_end_and_leaves_nothing_behind(
    sandbox: Sandbox, tmp_path: Path, row: HostileImage
):
    source, output_dir = tmp_path / "source", tmp_path / "output"
    data = row.make()
    source.write_bytes(data)
    output_dir.mkdir()
    begun, temporary = time.monotonic(), strays()
    assert outcome_of(sandbox, source, output_dir, row.content_type) in row.outcomes
    assert time.monotonic() - begun < SECONDS
    assert sandbox.is_alive()
    assert source.read_bytes() == data
    assert {path.name for path in output_dir.iterdir()} <= {"0.png"}
    assert strays() <= temporary


def strays() -> set[Path]:
    """Where libvips would put what does not fit its memory."""
    return set(Path("/tmp").glob("vips-*"))


def outcome_of(sandbox: Sandbox, source: Path, output_dir: Path, content_type: str) -> str:
    try:
        made = sandbox.process_image(
            source, content_type=content_type, presets=PNG_BOXES, output_dir=output_dir
        )
    except MediaServiceError as error:
        return error.code
    raw = made.renditions[0].path.read_bytes()
    assert not [word for word in (b"<script", b"Set-Cookie", b"Acme", b"xmpmeta", b"PK\5\6") if word in raw]
    return READY
