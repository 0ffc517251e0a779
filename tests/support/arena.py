"""A started service with faults at hand, and the memory of all that was promised to its clients."""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.support.problems import PRIVATE_WORDS
from tests.support.s3_proxy import S3FaultProxy
from tests.support.service import RunningService
from tests.support.started import Configuration
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey import ValkeyServer

SECONDS_TO_HEAL = 30
"""R of invariant I9: from the end of a fault to new work that succeeds."""
ANSWER_SECONDS = {"database": 5.0, "storage": 30.0}
"""D of invariant I7, by what hangs; some of it is spent by the test's own machine."""
SLACK_SECONDS = 1.5

PRIVATE = (*PRIVATE_WORDS, "secret-backend", "127.0.0.1:", "postgresql", "psycopg", "media-faults")
"""What no answer may hold (I10)."""

POINTS = (
    "upload.claimed", "upload.begun", "upload.part", "upload.completed", "upload.stored", "upload.committed",
    "doorbell.sent", "job.claimed", "job.rendered", "job.published", "dispatch.marked", "dispatch.sent",
    "purge.deleted", "direct.object", "hash.computed",
)  # fmt: skip
"""Every named fault point of the service."""

# Timers short enough to wait for; each is a setting.
SETTINGS = {
    "MEDIA_RESTART_MAX_PAUSE": "PT0.5S",
    "MEDIA_JOB_LEASE": "PT3S",
    "MEDIA_JOB_RESEND_AFTER": "PT1S",
    "MEDIA_UPLOAD_LEASE": "PT3S",
    "MEDIA_BODY_IDLE_TIMEOUT": "PT3S",
    "MEDIA_SHUTDOWN_GRACE": "PT6S",
    "MEDIA_WORKER_DISPATCH_INTERVAL": "PT0.2S",
    "MEDIA_WORKER_SWEEP_INTERVAL": "PT0.5S",
    # Longer than a small upload takes on a busy machine: the sweeper runs while photos arrive.
    "MEDIA_WORKER_SWEEP_GRACE": "PT5S",
    "MEDIA_WORKER_SANDBOX_WALL_SECONDS": "4",
    # Enough for the photos of these tests, too little for a file that the poison test sends.
    "MEDIA_WORKER_SANDBOX_MEMORY_BYTES": str(320 * 1024**2),
    "MEDIA_S3_CONNECT_TIMEOUT_SECONDS": "1",
    "MEDIA_S3_READ_TIMEOUT_SECONDS": "2",
    "MEDIA_S3_RETRY_SECONDS": "3",
    "MEDIA_S3_PART_SIZE_BYTES": str(5 * 1024**2),
    "MEDIA_MAX_FILE_SIZE": str(64 * 1024**2),
    # Counted in Redis as ever; no test but those of the limits themselves is to meet one.
    "MEDIA_RATE_LIMITS": "true",
    **{f"MEDIA_RATE_LIMIT_{name}": "10000000/minute" for name in ("READ", "CONTENT", "WRITE", "UPLOAD")},
}


@dataclass
class Ledger:
    """What clients know of their uploads: digests by the id they were told, and digests without an answer."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    """Ids of files that are to fail."""
    slowest_seconds: float = 0.0
    """From the last byte of a request to its answer, since the fault began."""


@dataclass(frozen=True)
class Arena:
    """`database`, `redis` and `s3` are what stands between the service and its servers, where it has some."""

    configuration: Configuration
    armed: Path
    temp: Path
    photo: bytes
    database: TcpProxy | None = None
    redis: TcpProxy | None = None
    s3: S3FaultProxy | None = None
    valkey: ValkeyServer | None = None
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def service(self) -> RunningService:
        return self.configuration.service

    @property
    def is_embedded(self) -> bool:
        return self.database is None

    def new_photo(self, label: str) -> bytes:
        """The one photo with a comment of its own, and so a digest of its own."""
        comment = label.encode()
        return self.photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + self.photo[2:]

    def client(self, *, timeout_seconds: float = 60.0) -> httpx2.Client:
        """A client with the admin's credentials that looks at every error; close it."""
        client = self.service.client(timeout_seconds=timeout_seconds)
        client.event_hooks = {"response": [self._look_at]}
        return client

    def _look_at(self, answer: httpx2.Response) -> None:
        if answer.status_code < 400 or answer.request.url.path == "/readyz":
            return  # readiness has a document of its own, whatever its status
        answer.read()
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert answer.status_code != 503 or answer.headers["retry-after"]
        found = [word for word in PRIVATE if word in answer.text]
        assert not found, (found, answer.text)

    def upload(self, client: httpx2.Client, label: str, **headers: str) -> httpx2.Response | None:
        """Upload a photo of its own; None if the connection broke. Keeps the ledger."""
        return self.post(client, f"{label}.jpg", self.new_photo(label), **headers)

    def post(
        self, client: httpx2.Client, name: str, content: bytes | Iterator[bytes], **headers: str
    ) -> httpx2.Response | None:
        """Upload a body as one file, raw. Keeps the ledger."""
        whole = content if isinstance(content, bytes) else b"".join(content)
        digest = hashlib.sha256(whole).hexdigest()
        started = time.monotonic()
        try:
            answer = client.post("/v1/files", params={"filename": name}, content=whole, headers=headers)
        except httpx2.TransportError:
            self.ledger.unanswered.add(digest)
            return None
        finally:
            self.ledger.slowest_seconds = max(self.ledger.slowest_seconds, time.monotonic() - started)
        if answer.status_code == 201:
            self.ledger.acknowledged[answer.json()["items"][0]["id"]] = digest
        elif answer.status_code >= 500:
            # A commit may have taken effect although its answer was lost (F19).
            self.ledger.unanswered.add(digest)
        return answer

    def upload_until_taken(self, client: httpx2.Client, label: str) -> str:
        """Send a photo as often as it needs, as a client with patience does; returns its id."""
        deadline = time.monotonic() + SECONDS_TO_HEAL
        attempt = 0
        while True:
            answer = self.upload(client, f"{label}.{attempt}")
            if answer is not None and answer.status_code == 201:
                return str(answer.json()["items"][0]["id"])
            assert answer is None or answer.status_code in {503, 507}, answer.text
            assert time.monotonic() < deadline, f"{label} was never taken\n{self.service.log_tail}"
            attempt += 1
            time.sleep(0.1)

    def wait_until_ready(self, file_ids: list[str], *, seconds: float = SECONDS_TO_HEAL) -> None:
        """Wait for photos, none of which may fail: 'failed because interrupted' does not exist."""
        deadline = time.monotonic() + seconds
        with self.client() as client:
            for file_id in file_ids:
                while (status := self._status(client, file_id)) != "ready":
                    assert status in {"processing", None}, (file_id, status)
                    assert time.monotonic() < deadline, (file_id, self.service.log_tail)
                    time.sleep(0.05)

    def _status(self, client: httpx2.Client, file_id: str) -> str | None:
        """None while the service cannot say."""
        try:
            answer = client.get(f"/v1/files/{file_id}")
        except httpx2.TransportError:
            return None
        if answer.status_code == 503:
            return None
        file = answer.json()
        assert answer.status_code == 200, file
        assert file["status"] != "failed", file
        return str(file["status"])

    def arm(self, point: str) -> None:
        """Let the next process that reaches a point die there."""
        (self.armed / point).touch()

    def wait_until_dead(self, point: str) -> None:
        """Wait until a process has died at a point."""
        self.service.wait_until(lambda: not (self.armed / point).exists(), f"a process dies at {point}")

    def heal(self) -> None:
        """End every fault that is not a death."""
        for proxy in (self.database, self.redis, self.s3):
            if proxy is not None:
                proxy.heal()
        for path in self.armed.iterdir():
            path.unlink()

    def sandbox_children(self) -> list[psutil.Process]:
        """Processes that decode an image right now."""
        pid = self.service.pids.get("worker")
        found: list[psutil.Process] = []
        if pid is not None:  # else it is between two lives
            with suppress(psutil.NoSuchProcess):
                for zygote in psutil.Process(pid).children():
                    found.extend(zygote.children())
        return found

    def wait_for_sandbox_child(self) -> psutil.Process:
        found: list[psutil.Process] = []

        def is_decoding() -> bool:
            found[:] = self.sandbox_children()
            return bool(found)

        self.service.wait_until(is_decoding, "an image is being decoded")
        return found[0]


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """SIGSTOP while the block runs: processes that are there and do nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def seconds_of(call: Callable[[], Any]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started
