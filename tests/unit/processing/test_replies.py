"""A child may have been taken over: what it says and leaves behind is checked value by value."""

import json
from pathlib import Path

import pytest

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.transforms.spec import Preset
from workers.processing.replies import read_reply
from workers.processing.results import ProcessedImage

PRESETS = (Preset(name="thumb", width_px=9, height_px=9, format="png"),)
DONE = {"exit_status": 0, "signal": None, "timed_out": False, "cpu_seconds": 0.1}
MADE = {"width_px": 9, "height_px": 9, "size_bytes": 5, "sha256": "0" * 64}
IMAGE = {
    "metadata": {"width": 9},
    "placeholder": {"thumbhash": "x", "color": "#000000"},
    "renditions": [MADE],
}


def reply(*lines: object) -> bytes:
    return (
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    )


def read(folder: Path, *lines: object) -> ProcessedImage:
    return read_reply(reply(*lines), presets=PRESETS, output_dir=folder)


def test_an_honest_reply_becomes_a_result(tmp_path: Path):
    (tmp_path / "0.png").write_bytes(b"12345")
    made = read(tmp_path, {"image": IMAGE}, b"", DONE).renditions[0]
    assert (made.path, made.size_bytes, made.recipe) == (tmp_path / "0.png", 5, PRESETS[0].recipe)


def test_a_link_in_place_of_a_rendition_is_a_crash(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"12345")
    for link in (Path.symlink_to, Path.hardlink_to):
        link(tmp_path / "0.png", secret)
        with pytest.raises(MediaServiceError) as caught:
            read(tmp_path, {"image": IMAGE}, DONE)
        assert caught.value.code == "sandbox-crashed"
        (tmp_path / "0.png").unlink()


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"garbage",),
        (DONE,),
        ({"image": IMAGE}, b'{"exit_status"'),
        (b"[" * 60_000, DONE),
        (b'{"image": NaN}', DONE),
        ([], DONE),
        ({}, DONE),
        ({"failure": {"code": "made-up", "members": {}, "cause": ""}}, DONE),
        ({"failure": {"code": "too-many-frames", "members": {"detail": "x"}, "cause": ""}}, DONE),
        ({"failure": "unreadable-media"}, DONE),
        ({"image": IMAGE | {"renditions": []}}, DONE),
        ({"image": IMAGE | {"renditions": [MADE | {"size_bytes": 6}]}}, DONE),
        ({"image": IMAGE | {"renditions": [MADE | {"sha256": "../../etc"}]}}, DONE),
        ({"image": IMAGE | {"placeholder": {}}}, DONE),
        ({"image": IMAGE}, DONE | {"exit_status": 1}),
        ({"image": IMAGE}, DONE | {"signal": 11, "exit_status": None}),
    ],
)
def test_anything_else_is_a_crash(tmp_path: Path, lines: tuple[object, ...]):
    (tmp_path / "0.png").write_bytes(b"12345")
    with pytest.raises(MediaServiceError) as caught:
        read(tmp_path, *lines)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.CRASHED, "sandbox-crashed")


def test_the_verdict_counts_more_than_the_answer(tmp_path: Path):
    with pytest.raises(MediaServiceError) as caught:
        read(tmp_path, {"image": IMAGE}, DONE | {"timed_out": True, "signal": 9, "exit_status": None})
    assert caught.value.code == "sandbox-timeout"


def test_a_failure_keeps_its_numbers_and_hides_its_cause(tmp_path: Path):
    said = {"code": "too-many-frames", "members": {"frames": 9, "max_frames": 5}, "cause": "line 7"}
    with pytest.raises(MediaServiceError) as caught:
        read(tmp_path, {"failure": said}, DONE)
    assert caught.value.members == {"frames": 9, "max_frames": 5}
    assert str(caught.value.__cause__) == "line 7"
