"""One command starts and stops the whole service; nothing outlives the supervisor, and no data is lost."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator

import httpx2
import psutil
import pytest

from tests.support import images
from tests.support.service import RunningService
from tests.support.started import KEY, FreshService

START_CPU_SECONDS = 12
"""Of all processes together at a second start: a wait of under 10 s on two cores. Processor time, since the
clock would also measure what else the machine does."""
END_SECONDS = 10
ROLES = {"redis", "worker", "renderer", "dispatcher", "api"}


def _processes(service: RunningService) -> list[psutil.Process]:
    """The supervisor and all below it: its children, their zygote and whatever that has forked."""
    supervisor = psutil.Process(service.pids["supervisor"])
    return [supervisor, *supervisor.children(recursive=True)]


def _names(processes: list[psutil.Process]) -> str:
    return "\n".join(" ".join(process.cmdline()) for process in processes)


def _upload(service: RunningService, content: bytes) -> str:
    with service.client() as client:
        file = client.post("/v1/files", files={"file": ("photo.jpg", content)}).json()["items"][0]
        url = f"/v1/files/{file['id']}"
        service.wait_until(lambda: client.get(url).json()["status"] == "ready", "the photo is ready")
    return str(file["id"])


def _cpu_seconds(service: RunningService) -> float:
    times = [process.cpu_times() for process in _processes(service)]
    return float(sum(used.user + used.system for used in times))


def test_a_killed_supervisor_takes_all_along_and_the_next_start_is_clean_fast_and_has_the_data(
    fresh_service: FreshService,
):
    service = fresh_service
    content = images.jpeg(640, 480)
    file_id = _upload(service, content)
    processes = _processes(service)
    named = _names(processes)
    for part in ("valkey", "workers worker", "workers dispatcher", "media_service.cli serve", "zygote"):
        assert part in named, named

    service.kill("supervisor")

    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    assert not alive, _names(alive)

    first_log = service.log
    service.start()
    assert _cpu_seconds(service) < START_CPU_SECONDS

    second_log = service.log[len(first_log) :]
    assert first_log.count("Admin API key") == 1
    assert "Media Service is running at" in second_log
    assert service.api_key not in second_log
    assert not KEY.search(second_log)
    assert "Traceback" not in service.log
    assert set(service.pids) == {*ROLES, "supervisor"}
    with service.client() as client:
        listed = client.get("/v1/files").json()["items"]
        assert (file_id, "ready") in [(file["id"], file["status"]) for file in listed]
        assert client.get(f"/v1/files/{file_id}/content").content == content
        assert client.get(f"/v1/files/{file_id}/renditions/thumb/content").status_code == 200
    _upload(service, images.jpeg(320, 240))


def test_ctrl_c_lets_an_upload_on_its_way_end_and_stops_everything(fresh_service: FreshService):
    service = fresh_service
    processes = _processes(service)
    content = os.urandom(4 << 20)
    pid = service.pids["supervisor"]

    def slowly() -> Iterator[bytes]:
        half = len(content) // 2
        yield content[:half]
        os.kill(pid, signal.SIGINT)
        time.sleep(1)
        yield content[half:]

    with service.client() as client:
        answer = client.post("/v1/files?filename=slow.bin", content=slowly())

    assert answer.status_code == 201, answer.text
    assert answer.json()["items"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    _, alive = psutil.wait_procs(processes, timeout=END_SECONDS)
    assert not alive, _names(alive)
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{service.base_url}/livez")
    assert list((service.data_dir / "run").glob("*.pid")) == []
    assert "Traceback" not in service.log
    assert service.stop() == 0
