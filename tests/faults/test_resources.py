"""Disks that are full and descriptors that run out: clear refusals, nothing half-done, and it recovers."""

import os
import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
from PIL import Image

from tests.support import images
from tests.support.arena import SETTINGS, Arena
from tests.support.raw_http import RawConnection
from tests.support.started import Configuration, embedded

MIB = 1024 * 1024
READY_SECONDS = 30
MOUNT, UMOUNT = "/bin/mount", "/bin/umount"


class SmallDisks:
    """File systems of a few MiB, each where one sort of file of the service is kept."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.spill = self.data / "spill"
        self.objects = self.data / "storage"
        self.scratch = folder / "scratch"

    @contextmanager
    def mounted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for path, size in ((self.spill, "1m"), (self.objects, "24m"), (self.scratch, "1m")):
                path.mkdir(parents=True)
                stack.enter_context(_tmpfs(path, size))
            yield


@contextmanager
def _tmpfs(path: Path, size: str) -> Iterator[None]:
    subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run([UMOUNT, "--lazy", str(path)], check=True)


def resize(path: Path, size: str) -> None:
    subprocess.run([MOUNT, "-o", f"remount,size={size}", str(path)], check=True)


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisks]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount file systems")
    small = SmallDisks(tmp_path_factory.mktemp("small"))
    with small.mounted():
        yield small


@pytest.fixture(scope="module")
def cramped(disks: SmallDisks) -> Iterator[Configuration]:
    """A service on them, all of whose parts grow on disk."""
    settings = {**SETTINGS, "MEDIA_UPLOAD_MEMORY": "0", "TMPDIR": str(disks.scratch)}
    with embedded(settings, data_dir=disks.data) as configuration:
        yield configuration


@pytest.fixture
def client(cramped: Configuration) -> Iterator[httpx2.Client]:
    with cramped.service.client() as client:
        yield client
        for file in client.get("/v1/files").json()["items"]:
            assert client.delete(f"/v1/files/{file['id']}").status_code == 204
    cramped.service.wait_until(lambda: not cramped.objects.keys(), "no object is left")
    cramped.service.wait_until(lambda: not cramped.objects.unfinished(), "and nothing half-done")


@pytest.mark.fault("F29", "no room for parts that grow on disk", "507; the next that fits is taken")
def test_upload_that_finds_no_room_to_spill_is_a_507(
    client: httpx2.Client, cramped: Configuration, disks: SmallDisks
):
    resize(disks.spill, "1m")
    _check_507(client.post("/v1/files", content=os.urandom(5 * MIB)))
    assert cramped.objects.keys() == set()
    assert client.post("/v1/files", content=os.urandom(MIB // 4)).status_code == 201


@pytest.mark.fault("F29", "no room for objects", "507; what was written is gone, the next that fits is taken")
def test_upload_that_finds_no_room_in_the_storage_is_a_507(
    client: httpx2.Client, cramped: Configuration, disks: SmallDisks
):
    resize(disks.spill, "16m")
    _check_507(client.post("/v1/files", content=os.urandom(30 * MIB)))
    cramped.service.wait_until(lambda: not cramped.objects.unfinished(), "what was written is gone")
    assert client.post("/v1/files", content=os.urandom(MIB // 4)).status_code == 201


@pytest.mark.fault("F29", "no room for a worker's scratch files", "the others go on; done once there is room")
def test_photo_that_finds_no_room_in_the_scratch_folder_waits_for_it(
    client: httpx2.Client, cramped: Configuration, disks: SmallDisks
):
    resize(disks.spill, "16m")
    noise = Image.frombytes("RGB", (1000, 1000), random.Random(1).randbytes(3_000_000))
    large = client.post("/v1/files", content=images.encode(noise, "PNG")).json()["items"][0]["id"]
    small = client.post("/v1/files", content=images.jpeg(320, 240)).json()["items"][0]["id"]
    _wait_until_ready(cramped, client, small)
    assert client.get(f"/v1/files/{large}").json()["status"] == "processing"
    cramped.service.wait_until(lambda: '"storage-full"' in cramped.service.log, "the log says why")
    resize(disks.scratch, "64m")
    _wait_until_ready(cramped, client, large)
    assert [path for path in disks.scratch.rglob("*") if path.is_file() and path.name != "lock"] == []


def _wait_until_ready(cramped: Configuration, client: httpx2.Client, file_id: str) -> None:
    cramped.service.wait_until(
        lambda: client.get(f"/v1/files/{file_id}").json()["status"] == "ready",
        "the photo is ready",
        timeout_seconds=READY_SECONDS,
    )


def _check_507(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (507, "storage-full")


@pytest.mark.fault(
    "F30", "the API has no descriptor left", "503 or a wait, no crash; well once there are some"
)
def test_api_without_descriptors_refuses_and_recovers(arena: Arena):
    pid = arena.service.pids["api"]
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with arena.client(timeout_seconds=10) as client:
        assert client.get("/livez").status_code == 200
        crowd: list[RawConnection] = []
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (psutil.Process(pid).num_fds() + 4, hard))
        try:
            crowd = [RawConnection(arena.service.port) for _ in range(20)]
            assert client.get("/livez").status_code == 200
            for number in range(3):
                answer = arena.upload(client, f"no descriptors {number}")
                assert answer is None or answer.status_code in {201, 503}, answer.text
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            for connection in crowd:
                connection.close()
    assert arena.service.pids["api"] == pid
