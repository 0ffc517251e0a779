"""What processes leave on this machine that are killed at the worst moment is taken after the grace."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest

from media_service.models import new_id
from media_service.storage.keys import original_key, rendition_key
from media_service.storage.local import LocalStorage
from tests.support.backends import Backend
from tests.support.started import BYTECODE
from tests.support.sweeping import HOUR, NOW, make_sweeper, sweep
from workers.jobs.sweep.findings import Kind
from workers.scratch import START_TIME

PROJECT_ROOT = Path(__file__).resolve().parents[2]

DIE = """
import os, signal, sys, tempfile
from pathlib import Path

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
"""


def killed(script: str, folder: Path, *arguments: str) -> None:
    """Run a script until it kills itself."""
    process = subprocess.run(
        [sys.executable, "-c", DIE + script, str(folder), *arguments],
        env={**os.environ, **BYTECODE, "PYTHONPATH": str(PROJECT_ROOT)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def local(clean_backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStorage:
    """A local storage of this test's own; temporary folders are looked for beside it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    return LocalStorage(tmp_path / "storage")


def partial_files(folder: Path) -> list[str]:
    return [path.name for path in (folder / "storage" / "partial").iterdir()]


PUT = """
from media_service.storage.local import LocalStorage
storage = LocalStorage(folder / "storage")
(folder / "source").write_bytes(b"bytes of a photo" * 1000)
os.fsync = die
if sys.argv[3] == "put":
    storage.put(sys.argv[2], b"bytes of a photo" * 1000, content_type="image/jpeg")
else:
    storage.put_file(sys.argv[2], folder / "source", content_type="image/webp")
"""


@pytest.mark.parametrize("how", ["put", "put_file"])
def test_file_of_a_put_that_was_killed_is_taken_after_the_grace(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path, how: str
):
    key = (
        original_key(new_id()) if how == "put" else rendition_key(new_id(), recipe="0" * 16, sha256="1" * 64)
    )
    killed(PUT, tmp_path, key, how)
    [left] = partial_files(tmp_path)
    assert left.startswith("put-")
    assert sweep(clean_backend, storage=local, grace=HOUR) == {}
    assert partial_files(tmp_path) == [left]
    assert sweep(clean_backend, storage=local, grace=NOW) == {"unknown_upload": 1}
    assert partial_files(tmp_path) == []


UPLOAD = """
from media_service.storage.local import LocalStorage
storage = LocalStorage(folder / "storage")
upload_id = storage.create_upload(sys.argv[2], content_type="image/jpeg", part_size_bytes=1000)
receipt = storage.put_part(sys.argv[2], upload_id, 1, b"x" * 1000)
os.rename = die
storage.complete_upload(sys.argv[2], upload_id, [receipt])
"""


def test_parts_of_an_upload_that_was_killed_at_its_end_are_taken_after_the_grace(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path
):
    killed(UPLOAD, tmp_path, original_key(new_id()))
    [left] = partial_files(tmp_path)
    assert left.startswith("upload-")
    assert sweep(clean_backend, storage=local, grace=HOUR) == {}
    assert sweep(clean_backend, storage=local, grace=NOW) == {"unknown_upload": 1}
    assert partial_files(tmp_path) == []


def test_what_a_person_put_into_the_folders_of_the_storage_is_left_alone(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path
):
    strangers = [
        tmp_path / "storage" / "partial" / "notes.txt",
        tmp_path / "storage" / "partial" / f"put-0-0-{'0' * 16}.Not.A.Key",
        tmp_path / "storage" / "objects" / "originals" / "ab" / "READ ME.txt",
        tmp_path / "storage" / "objects" / "renditions" / "ab" / str(new_id()) / "READ ME.txt",
    ]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("by hand")
    assert sweep(clean_backend, storage=local, grace=NOW) == {}
    assert all(path.exists() for path in strangers)


SPILL = """
import hashlib
from media_service.storage.upload_memory import GrowingPart, UploadMemory
(folder / "spill").mkdir()
tempfile._O_TMPFILE_WORKS = False  # as on a file system that cannot make a file without a name
os.unlink = die
memory = UploadMemory(limit_bytes=0, spill_dir=folder / "spill")
GrowingPart(memory, hashlib.sha256()).spill(memoryview(b"bytes of a photo"))
"""


def test_spilled_part_that_kept_its_name_is_taken_after_the_grace(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path
):
    killed(SPILL, tmp_path)
    [left] = (tmp_path / "spill").iterdir()
    sweeper = make_sweeper(clean_backend, storage=local, grace=HOUR, spill_dir=tmp_path / "spill")
    assert sweeper.run_round() == {}
    sweeper = make_sweeper(clean_backend, storage=local, grace=NOW, spill_dir=tmp_path / "spill")
    [finding] = sweeper.run_through(dry_run=True)
    assert (finding.kind, finding.name) == (Kind.LEFT_FILE, str(left))
    assert left.exists()
    assert sweeper.run_round() == {Kind.LEFT_FILE: 1}
    assert list((tmp_path / "spill").iterdir()) == []


SCRATCH = """
tempfile.tempdir = str(folder / "temp")
from workers.scratch import ScratchFolder
if sys.argv[2] == "starting":
    os.open = die
scratch = ScratchFolder()
(scratch.path / "original").write_bytes(b"somebody's photo")
die()
"""


def test_scratch_folder_of_a_killed_worker_is_taken_also_if_no_worker_starts_again(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path
):
    killed(SCRATCH, tmp_path, "working")
    [left] = (tmp_path / "temp").iterdir()
    assert (left / "original").exists()
    assert sweep(clean_backend, storage=local, grace=HOUR) == {"left_file": 1}
    assert list((tmp_path / "temp").iterdir()) == []


def test_folder_of_a_worker_that_was_killed_as_it_started_is_taken_when_it_is_old(
    clean_backend: Backend, local: LocalStorage, tmp_path: Path
):
    killed(SCRATCH, tmp_path, "starting")
    [left] = (tmp_path / "temp").iterdir()
    assert sweep(clean_backend, storage=local, grace=HOUR) == {}
    old = time.time() - (START_TIME + timedelta(minutes=1)).total_seconds()
    os.utime(left, (old, old))
    assert sweep(clean_backend, storage=local, grace=HOUR) == {"left_file": 1}
    assert list((tmp_path / "temp").iterdir()) == []
