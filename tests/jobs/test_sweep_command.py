"""`sweep` on the command line, as an operator runs it beside the service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from media_service.models import new_id
from media_service.storage.keys import original_key
from media_service.tables import Job, WorkerProcess
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.ports import free_port
from tests.support.started import BYTECODE

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service_env(clean_backend: Backend, tmp_path: Path) -> dict[str, str]:
    settings = {f"MEDIA_{name.upper()}": str(value) for name, value in clean_backend.values.items()}
    alone = {"PYTHONPATH": str(PROJECT_ROOT), "TMPDIR": str(tmp_path), "MEDIA_UPLOAD_LEASE": "0.001"}
    return {**os.environ, **BYTECODE, **settings, **alone}


def run(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "media_service.cli", "sweep", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_dry_run_says_what_a_real_run_then_does(
    clean_backend: Backend, owner: Owner, service_env: dict[str, str], tmp_path: Path
):
    orphan = original_key(new_id())
    clean_backend.storage.put(orphan, b"orphan", content_type="text/plain")
    lost, _ = add_image(clean_backend, owner)
    clean_backend.storage.delete([lost.key])
    dead = WorkerProcess(id=new_id(), host="h", missing_layers=[], alive_until_ms=0)
    with clean_backend.database.transaction() as session:
        session.add(dead)
        dead_id = dead.id

    dry = run("--dry-run", "--grace", "0.001", env=service_env, cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    *lines, summary = dry.stdout.splitlines()
    assert len(lines) == 3
    assert f"dead worker: {dead_id}: would be removed" in lines
    assert any(
        line.startswith(f"unowned object: {orphan} (0:00:") and line.endswith(" old): would be removed")
        for line in lines
    )
    assert any(line.startswith(f"missing bytes: {lost.key} (") for line in lines)
    assert summary == (
        "Found: 1 x dead worker, 1 x missing bytes, 1 x unowned object. Nothing was changed (dry run)."
    )
    assert clean_backend.keys() == {orphan}
    assert len(clean_backend.rows(WorkerProcess)) == 1

    real = run("--grace", "0.001", env=service_env, cwd=tmp_path)
    assert real.returncode == 0, real.stderr
    assert real.stdout.splitlines()[-1] == "Found: 1 x dead worker, 1 x missing bytes, 1 x unowned object."
    assert "sweeper.bytes_missing" in real.stderr
    assert clean_backend.keys() == set()
    assert clean_backend.rows(WorkerProcess) == []
    assert len(clean_backend.rows(Job)) == 1


def test_young_things_are_spared_by_default(
    clean_backend: Backend, service_env: dict[str, str], tmp_path: Path
):
    orphan = original_key(new_id())
    clean_backend.storage.put(orphan, b"orphan", content_type="text/plain")
    swept = run(env=service_env, cwd=tmp_path)
    assert (swept.returncode, swept.stdout) == (0, "Found: nothing.\n"), swept.stderr
    assert clean_backend.keys() == {orphan}


def test_real_run_with_a_grace_that_uploads_outlast_is_refused_in_one_line(
    clean_backend: Backend, service_env: dict[str, str], tmp_path: Path
):
    refused = run("--grace", "PT1S", env={**service_env, "MEDIA_UPLOAD_LEASE": "60"}, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert line.startswith("media-service: A grace of less than MEDIA_UPLOAD_LEASE (60 s)")


def test_grace_that_is_no_duration_is_refused(
    clean_backend: Backend, service_env: dict[str, str], tmp_path: Path
):
    refused = run("--grace", "soon", env=service_env, cwd=tmp_path)
    assert refused.returncode == 2
    assert "is no duration" in refused.stderr


def test_storage_that_is_away_is_one_line_after_what_could_be_done(
    clean_backend: Backend, service_env: dict[str, str], tmp_path: Path
):
    nowhere = {
        "MEDIA_STORAGE": "s3",
        "MEDIA_S3_BUCKET": "media",
        "MEDIA_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "MEDIA_S3_MAX_ATTEMPTS": "1",
    }
    with clean_backend.database.transaction() as session:
        session.add(WorkerProcess(id=new_id(), host="h", missing_layers=[], alive_until_ms=0))
    swept = run(env={**service_env, **nowhere}, cwd=tmp_path)
    assert swept.returncode == 1
    [line] = swept.stdout.splitlines()
    assert line.startswith("dead worker: ")
    assert swept.stderr.splitlines()[-1] == "media-service: The storage does not answer; try again later."
