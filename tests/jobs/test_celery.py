"""One real round trip: the API's ring through Valkey to a Celery worker in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from media_service.broker.client import JobSender
from media_service.broker.messages import Lane
from media_service.jobs.lifecycle import JobStatus
from media_service.supervisor.process import die_with_parent
from media_service.tables import Job
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.job_rows import add_image, get_job
from tests.support.log_watch import check_log
from tests.support.valkey import ValkeyServer

PROJECT_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(role: str, backend: Backend, log: Path, more: Mapping[str, str]) -> Iterator[None]:
    """A worker or dispatcher over a backend, as the supervisor would start it."""
    settings = {f"MEDIA_{name.upper()}": str(value) for name, value in backend.values.items()}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers", role],
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **settings, **more},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
        )
    try:
        yield
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        process.terminate()
        process.wait(30)
        check_log(log.read_text(errors="replace"))


def wait_for(backend: Backend, job: Job, status: JobStatus) -> Job:
    deadline = time.monotonic() + 60
    while (row := get_job(backend, job.id)).status is not status:
        assert time.monotonic() < deadline, row.status
        time.sleep(0.02)
    return row


@pytest.fixture
def lonely_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as valkey:
        yield valkey


def test_photo_goes_through_api_broker_worker_and_dispatcher(
    clean_backend: Backend, lonely_valkey: ValkeyServer, owner: Owner, tmp_path: Path
):
    env = {"MEDIA_REDIS_URL": lonely_valkey.url, "MEDIA_WORKER_CONCURRENCY": "2"}
    with (
        ApiServer(clean_backend.settings, redis_url=lonely_valkey.url) as server,
        running("worker", clean_backend, tmp_path / "worker.log", env),
    ):
        # The API's own ring, with no dispatcher in sight.
        answer = server.client.post("/v1/files", headers=ADMIN, content=images.jpeg(320, 240))
        [file] = answer.json()["items"]
        [job] = clean_backend.rows(Job)
        assert wait_for(clean_backend, job, JobStatus.SUCCEEDED).attempts == 1
        ready = server.client.get(f"/v1/files/{file['id']}", headers=ADMIN).json()
        assert (ready["status"], len(ready["renditions"])) == ("ready", 3)

        # A message for a job that is over, one for none, and one that is nonsense: nothing happens.
        sender = JobSender(lonely_valkey.url)
        sender.send(job.id, Lane.UPLOADS)
        sender.send(owner.id, Lane.UPLOADS)

        # A job that nobody rang for: the dispatcher sends it.
        _, unsent = add_image(clean_backend, owner)
        with running("dispatcher", clean_backend, tmp_path / "dispatcher.log", env):
            assert wait_for(clean_backend, unsent, JobStatus.SUCCEEDED).attempts == 1
        assert get_job(clean_backend, job.id).attempts == 1
        sender.close()


def test_image_on_the_fly_goes_through_api_broker_and_a_worker_of_its_lane_alone(
    clean_backend: Backend, lonely_valkey: ValkeyServer, tmp_path: Path
):
    env = {"MEDIA_REDIS_URL": lonely_valkey.url, "MEDIA_WORKER_LANES": Lane.RENDER.value}
    with (
        ApiServer(clean_backend.settings, redis_url=lonely_valkey.url, image_render_timeout=60) as server,
        running("worker", clean_backend, tmp_path / "renderer.log", env),
    ):
        answer = server.client.post("/v1/files", headers=ADMIN, content=images.jpeg(320, 240))
        [file] = answer.json()["items"]
        path = f"/v1/images/{file['id']}/w_100,h_100,fit_cover,f_webp"
        made = server.client.get(path, headers=ADMIN, timeout=60)
        assert (made.status_code, made.headers["Content-Type"]) == (200, "image/webp")
        [job] = clean_backend.rows(Job)
        assert job.status is JobStatus.QUEUED  # of another lane, and so for another worker
    # Nobody makes anything any more, and Redis is as good as gone; what is stored is served.
    with ApiServer(clean_backend.settings, broker_url="redis://127.0.0.1:9/0") as server:
        assert server.client.get(path, headers=ADMIN).content == made.content


def test_workers_take_messages_in_json_alone(tmp_path: Path):
    # A pickle would run whatever whoever can write to the broker likes.
    printed = subprocess.run(
        [sys.executable, "-c", "from workers.app import app; print(app.conf.accept_content)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "['json']\n"
