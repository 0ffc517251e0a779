"""Folders of worker processes, with a real process that is killed."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workers.scratch import ScratchFolder

HOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from workers.scratch import ScratchFolder
folder = ScratchFolder()
(folder.path / "original").write_bytes(b"somebody's photo")
print(folder.path, flush=True)
input()
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_closed_folder_is_gone(parent: Path):
    folder = ScratchFolder()
    (folder.path / "original").write_bytes(b"x")

    folder.close()

    assert list(parent.iterdir()) == []


def test_the_next_start_removes_what_a_killed_process_left_and_spares_a_living_one(parent: Path):
    living = ScratchFolder()
    argv = [sys.executable, "-c", HOLDER, str(parent)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        process.kill()
        process.wait()
    assert (left / "original").exists()

    third = ScratchFolder()

    assert sorted(parent.iterdir()) == sorted([living.path, third.path])
    living.close()
    third.close()


def test_a_folder_of_that_name_without_a_lock_is_left_alone(parent: Path):
    (parent / "media-worker-strange").mkdir()

    ScratchFolder().close()

    assert [path.name for path in parent.iterdir()] == ["media-worker-strange"]
