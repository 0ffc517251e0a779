"""Ten thousand queued backfill jobs hold up neither a new upload nor an image on the fly."""

import time
from collections.abc import Callable
from itertools import count
from statistics import median

import httpx2
from sqlalchemy import insert, select

from media_service.blocking_database import Database
from media_service.broker.messages import Lane
from media_service.files.models import File
from media_service.files.processing import process_again
from media_service.jobs.lifecycle import JobStatus
from media_service.models import new_id
from media_service.tables import Job
from tests.support import images
from tests.support.service import RunningService

JOBS = 10_000
SAMPLES = 7
PHOTO = images.jpeg(2400, 1800)
BUSY_MACHINE_SECONDS = 0.5
"""On two cores a backfill job takes one of them from what is measured."""


def timed(work: Callable[[], object]) -> float:
    """Median seconds."""
    times = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times)


def upload_until_ready(client: httpx2.Client) -> str:
    file_id: str = client.post("/v1/files", content=PHOTO).json()["items"][0]["id"]
    deadline = time.monotonic() + 60
    while client.get(f"/v1/files/{file_id}").json()["status"] != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return file_id


def queue_backfill(service: RunningService, file_id: str) -> None:
    database = Database(f"sqlite:///{service.data_dir / 'media.db'}", pool_size=1)
    with database.transaction() as session:
        file = session.scalars(select(File)).first()
        assert file is not None
        job = process_again(file, None, max_attempts=20, will_ring=False, lane=Lane.BACKFILL)
        row = job.column_values()
        session.execute(insert(Job), [{**row, "id": new_id()} for _ in range(JOBS)])
    database.close()


def backfill_jobs(service: RunningService, status: JobStatus) -> int:
    database = Database(f"sqlite:///{service.data_dir / 'media.db'}", pool_size=1)
    with database.read() as session:
        found = len(
            list(session.scalars(select(Job.id).where(Job.lane == Lane.BACKFILL.value, Job.status == status)))
        )
    database.close()
    return found


def test_backfill_of_ten_thousand_files_holds_up_neither_uploads_nor_renders():
    widths = count(300)
    with RunningService() as service, service.client(timeout_seconds=60) as client:
        file_id = upload_until_ready(client)

        def render() -> None:
            answer = client.get(f"/v1/images/{file_id}/w_{next(widths)},f_jpeg")
            assert answer.status_code == 200, answer.text

        render()
        idle_upload, idle_render = timed(lambda: upload_until_ready(client)), timed(render)
        queue_backfill(service, file_id)
        service.wait_until(lambda: backfill_jobs(service, JobStatus.SUCCEEDED) > 2, "the backfill runs")
        busy_upload, busy_render = timed(lambda: upload_until_ready(client)), timed(render)
        print(
            f"upload {idle_upload:.3f} s idle, {busy_upload:.3f} s beside the backfill; "
            f"render {idle_render:.3f} s and {busy_render:.3f} s; "
            f"{backfill_jobs(service, JobStatus.SUCCEEDED)} jobs of the backfill were done meanwhile"
        )
        assert busy_upload <= 2 * idle_upload + BUSY_MACHINE_SECONDS
        assert busy_render <= 2 * idle_render + BUSY_MACHINE_SECONDS
        assert backfill_jobs(service, JobStatus.QUEUED) > JOBS / 2
