"""One file of any size, in a form or by tus, made while it is sent: neither side need ever hold it."""

import hashlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from tests.support.service import RunningService

BLOCK_BYTES = 1024 * 1024
SAMPLE_SECONDS = 0.01
BOUNDARY = "part-of-a-large-form"


@dataclass(frozen=True, slots=True)
class LargeUpload:
    """What came of it. `growth_bytes`: the peak of the API's resident memory over what it was before."""

    file: dict[str, Any]
    sha256: str
    seconds: float
    growth_bytes: int


def upload_large_form(service: RunningService, size_bytes: int) -> LargeUpload:
    """Upload a file of so many random bytes (whole MiB) in a form, and watch the API's memory."""
    return _watched(service, size_bytes, _send_form)


def upload_large_patch(service: RunningService, size_bytes: int) -> LargeUpload:
    """The same by tus, in one PATCH."""
    return _watched(service, size_bytes, _send_patch)


def _watched(
    service: RunningService,
    size_bytes: int,
    send: Callable[[RunningService, int], tuple[dict[str, Any], str]],
) -> LargeUpload:
    api = psutil.Process(service.pids["api"])
    idle_bytes, peak = api.memory_info().rss, [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], api.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        file, sha256 = send(service, size_bytes)
    finally:
        seconds = time.monotonic() - started
        over.set()
        watcher.join()
    return LargeUpload(file, sha256, seconds, peak[0] - idle_bytes)


def _send_patch(service: RunningService, size_bytes: int) -> tuple[dict[str, Any], str]:
    with service.client(timeout_seconds=120) as client:
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size_bytes)}
        url = client.post("/v1/uploads", headers=tus).headers["Location"]
        digest = hashlib.sha256()
        headers = {
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size_bytes),
        }
        answer = client.patch(url, headers=headers, content=_blocks(size_bytes, digest))
        assert answer.status_code == http.client.NO_CONTENT, answer.text
        file: dict[str, Any] = client.get(f"/v1/files/{answer.headers['X-File-Id']}").json()
    return file, digest.hexdigest()


def _blocks(size_bytes: int, digest: "hashlib._Hash") -> Iterator[bytes]:
    """Random bytes, no two blocks alike."""
    block = os.urandom(BLOCK_BYTES)
    for number in range(size_bytes // BLOCK_BYTES):
        numbered = number.to_bytes(8, "big") + block[8:]
        digest.update(numbered)
        yield numbered


def _send_form(service: RunningService, size_bytes: int) -> tuple[dict[str, Any], str]:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    digest = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    try:
        connection.putrequest("POST", "/v1/files")
        connection.putheader("Authorization", f"Bearer {service.api_key}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        connection.putheader("Content-Length", str(len(head) + size_bytes + len(tail)))
        connection.endheaders(head)
        for block in _blocks(size_bytes, digest):
            connection.send(block)
        connection.send(tail)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    finally:
        connection.close()
    assert answer.status == http.client.CREATED, body
    return body["items"][0], digest.hexdigest()
