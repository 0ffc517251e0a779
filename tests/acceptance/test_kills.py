"""SIGKILL for each process of a started service while photos are uploaded: nothing acknowledged is lost.

One service bears all of it, one kill after the other, so each test also finds what the one before left.
"""

import hashlib
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import httpx2
import psutil
import pytest

from tests.support import images
from tests.support.invariants import check_invariants, wait_until_settled
from tests.support.service import RunningService
from tests.support.started import Configuration, embedded

PHOTOS = 50
CLIENTS = 4
SECONDS_TO_RECOVER = 60
TIMERS = {
    "MEDIA_JOB_LEASE": "PT4S",
    "MEDIA_JOB_RESEND_AFTER": "PT2S",
    "MEDIA_UPLOAD_LEASE": "PT6S",
    "MEDIA_WORKER_DISPATCH_INTERVAL": "PT0.2S",
    "MEDIA_WORKER_SWEEP_INTERVAL": "PT1S",
    # Longer than a small upload takes on a busy machine: the sweeper runs while photos arrive.
    "MEDIA_WORKER_SWEEP_GRACE": "PT5S",
}


@dataclass
class Ledger:
    """What clients know of their uploads, by digest; `acknowledged` by the id they were told."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Scene:
    """The service under fire, the folder that arms its fault points, and all that was sent to it so far."""

    configuration: Configuration
    armed: Path
    temp: Path
    ledger: Ledger
    photo: bytes

    @property
    def service(self) -> RunningService:
        return self.configuration.service

    def new_photo(self, label: str) -> bytes:
        """The one photo with a comment of its own, and so a digest of its own."""
        comment = label.encode()
        return self.photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + self.photo[2:]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    armed, temp = tmp_path_factory.mktemp("faultpoints"), tmp_path_factory.mktemp("temp")
    settings = {**TIMERS, "MEDIA_FAULTPOINTS": str(armed), "TMPDIR": str(temp)}
    photo = images.jpeg(1152, 864)
    with embedded(settings) as configuration:
        yield Scene(configuration, armed, temp, Ledger(), photo)


def _kill_api(service: RunningService) -> None:
    service.kill("api")


def _kill_worker_in_a_job(service: RunningService) -> None:
    _sandbox_child(service)
    service.kill("worker")


def _kill_sandbox_child(service: RunningService) -> None:
    _sandbox_child(service).kill()


def _kill_zygote_in_a_job(service: RunningService) -> None:
    parent = _sandbox_child(service).parent()
    assert parent is not None
    parent.kill()


def _kill_redis_that_forgets(service: RunningService) -> None:
    pid = service.pids["redis"]
    os.kill(pid, signal.SIGSTOP)  # so that it can write nothing more
    folder = service.data_dir / "redis"
    assert (folder / "appendonlydir").is_dir()
    shutil.rmtree(folder / "appendonlydir")
    service.kill("redis")


def _kill_dispatcher(service: RunningService) -> None:
    service.kill("dispatcher")


def _sandbox_child(service: RunningService) -> psutil.Process:
    """The process that decodes an image right now."""
    found: list[psutil.Process] = []

    def is_decoding() -> bool:
        pid = service.pids.get("worker")
        if pid is None:
            return False  # between two lives: Celery's worker can end with its broker
        with suppress(psutil.NoSuchProcess):
            for zygote in psutil.Process(pid).children():
                found.extend(zygote.children())
        return bool(found)

    service.wait_until(is_decoding, "an image is being decoded")
    return found[0]


VICTIMS: tuple[tuple[str, Callable[[RunningService], None]], ...] = (
    ("api", _kill_api),
    ("worker", _kill_worker_in_a_job),
    ("dispatcher", _kill_dispatcher),
    ("sandbox child", _kill_sandbox_child),
    ("redis", _kill_redis_that_forgets),
    ("zygote", _kill_zygote_in_a_job),
)


def test_no_acknowledged_photo_is_lost_when_one_process_after_the_other_is_killed(scene: Scene):
    service, sent = scene.service, Ledger()
    numbers: Queue[int | None] = Queue()
    with ThreadPoolExecutor(CLIENTS) as pool, _half_an_upload(scene):
        clients = [pool.submit(_upload_photos, scene, numbers, sent) for _ in range(CLIENTS)]
        try:
            for before, after, (role, kill) in _schedule():
                for number in range(before, after):
                    numbers.put(number)
                _wait_for(service, sent, before + 1)
                old_pid = service.pids.get(role)
                kill(service)
                killed_at = time.monotonic()
                if old_pid is not None:
                    service.wait_until_restarted(role, old_pid=old_pid)
        finally:
            for _ in clients:
                numbers.put(None)
        for client in clients:
            client.result()
    scene.ledger.acknowledged |= sent.acknowledged
    scene.ledger.unanswered |= sent.unanswered

    assert len(sent.acknowledged) == PHOTOS
    service.wait_until_ready()
    _wait_until_ready(scene, sent, killed_at + SECONDS_TO_RECOVER)
    _check_all(scene, sent)


def _wait_for(service: RunningService, sent: Ledger, count: int) -> None:
    service.wait_until(lambda: len(sent.acknowledged) >= count, "the uploads are under way")


def _schedule() -> Iterator[tuple[int, int, tuple[str, Callable[[RunningService], None]]]]:
    """Which photos are on their way at each kill: `PHOTOS` in all, shared out evenly."""
    bounds = [PHOTOS * index // len(VICTIMS) for index in range(len(VICTIMS) + 1)]
    return zip(bounds[:-1], bounds[1:], VICTIMS, strict=True)


@contextmanager
def _half_an_upload(scene: Scene) -> Iterator[None]:
    """An upload that outgrew its first part and goes no further."""
    service = scene.service
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        head = (
            f"POST /v1/files?filename=half.bin HTTP/1.1\r\nHost: x\r\nContent-Length: {8 << 20}\r\n"
            f"Authorization: Bearer {service.api_key}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        connection.sendall(head.encode() + os.urandom(4 << 20))
        unfinished = scene.configuration.objects.unfinished
        service.wait_until(lambda: bool(unfinished()), "the upload has parts in the storage")
        yield


def _upload_photos(scene: Scene, numbers: Queue[int | None], sent: Ledger) -> None:
    """One client: takes the next photo until there are none; sends one again that had no answer."""
    with scene.service.client() as client:
        while (number := numbers.get()) is not None:
            attempt = 0
            while not _upload(scene, client, f"photo {number}.{attempt}", sent):
                attempt += 1


def _upload(scene: Scene, client: httpx2.Client, label: str, sent: Ledger) -> bool:
    """Whether an answer came. What had none may be there or not: the next attempt has another digest."""
    content = scene.new_photo(label)
    digest = hashlib.sha256(content).hexdigest()
    try:
        answer = client.post("/v1/files", files={"file": (f"{label}.jpg", content)})
    except httpx2.TransportError:
        sent.unanswered.add(digest)
        scene.service.wait_until_ready()
        return False
    assert answer.status_code == 201, answer.text
    sent.acknowledged[answer.json()["items"][0]["id"]] = digest
    return True


def _wait_until_ready(scene: Scene, sent: Ledger, deadline: float) -> None:
    with scene.service.client() as client:
        for file_id in sent.acknowledged:
            while (file := client.get(f"/v1/files/{file_id}").json())["status"] != "ready":
                assert file["status"] == "processing", file
                assert time.monotonic() < deadline, (file, scene.service.log_tail)
                time.sleep(0.1)


def _check_all(scene: Scene, sent: Ledger) -> None:
    """Bytes by download, one file for each digest at most, and the invariants over rows and objects."""
    wait_until_settled(scene.configuration)
    with scene.service.client() as client:
        downloaded = {
            file_id: hashlib.sha256(client.get(f"/v1/files/{file_id}/content").content).hexdigest()
            for file_id in sent.acknowledged
        }
        counts = Counter(file["sha256"] for file in _listed(client))
    assert downloaded == sent.acknowledged
    assert set(counts.values()) <= {1}
    known = set(scene.ledger.acknowledged.values())
    assert known <= set(counts) <= known | scene.ledger.unanswered
    check_invariants(scene.configuration, acknowledged=scene.ledger.acknowledged)
    scene.service.wait_until(lambda: not _scratch_files(scene), "no job leaves a temporary file")


def _listed(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        parameters = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/files", params=parameters).json()
        yield from page["items"]
        if (cursor := page["next_cursor"]) is None:
            return


def _scratch_files(scene: Scene) -> list[Path]:
    return [path for path in scene.temp.rglob("*") if path.is_file() and path.name != "lock"]


def test_an_api_that_dies_before_the_commit_leaves_nothing_and_after_it_one_file_that_becomes_ready(
    scene: Scene,
):
    """After the commit: before the nudge, so nobody but the dispatcher can know of the job."""
    for point in ("upload.stored", "upload.committed"):
        (scene.armed / point).touch()
        old_pid = scene.service.pids["api"]
        with scene.service.client() as client:
            assert not _upload(scene, client, point, scene.ledger)
        scene.service.wait_until_restarted("api", old_pid=old_pid)
        assert not (scene.armed / point).exists()

    with scene.service.client() as client:
        listed = {file["sha256"]: file["id"] for file in _listed(client)}
    assert _digest_of(scene, "upload.stored") not in listed
    digest = _digest_of(scene, "upload.committed")
    committed = Ledger({listed[digest]: digest})
    _wait_until_ready(scene, committed, time.monotonic() + SECONDS_TO_RECOVER)
    _check_all(scene, committed)


def test_a_worker_that_dies_between_two_steps_of_a_job_has_one_effect(scene: Scene):
    sent = Ledger()
    for point in ("job.claimed", "job.rendered", "job.published"):
        (scene.armed / point).touch()
        old_pid = scene.service.pids["worker"]
        with scene.service.client() as client:
            assert _upload(scene, client, point, sent)
        # Whichever photo dies here: those of the points before wait for their leases to run out.
        scene.service.wait_until_restarted("worker", old_pid=old_pid)
        assert not (scene.armed / point).exists()

    scene.ledger.acknowledged |= sent.acknowledged
    _wait_until_ready(scene, sent, time.monotonic() + SECONDS_TO_RECOVER)
    _check_all(scene, sent)


def _digest_of(scene: Scene, label: str) -> str:
    return hashlib.sha256(scene.new_photo(label)).hexdigest()
