"""The API dies, or is stopped, in the midst of a resumable upload, which goes on as if nothing had been."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest

from tests.support.after_faults import listed
from tests.support.arena import Arena

MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}


def create(client: httpx2.Client, length: int) -> str:
    answer = client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(length)})
    assert answer.status_code == 201
    return "/v1/uploads/" + answer.headers["Location"].rpartition("/")[2]


def patch(client: httpx2.Client, path: str, offset: int, body: bytes | Iterator[bytes]) -> httpx2.Response:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return client.patch(path, headers=headers, content=body)


def offset_of(client: httpx2.Client, path: str) -> int:
    answer = client.head(path, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["Upload-Offset"])


def finish(arena: Arena, client: httpx2.Client, path: str, data: bytes) -> None:
    """Go on until all is there; the file is the source, and there is one."""
    while (offset := offset_of(client, path)) < len(data):
        patch(client, path, offset, data[offset:])
    file_id = client.head(path, headers=TUS).headers["X-File-Id"]
    content = client.get(f"/v1/files/{file_id}/content").content
    assert hashlib.sha256(content).digest() == hashlib.sha256(data).digest()
    assert [file["id"] for file in listed(client)] == [file_id]
    arena.ledger.acknowledged[file_id] = hashlib.sha256(data).hexdigest()
    assert client.delete(path, headers=TUS).status_code == 204


@pytest.mark.fault(
    "F35", "SIGKILL of the API between two steps of a PATCH", "the upload goes on; one file, whole"
)
@pytest.mark.parametrize(
    ("point", "length"),
    [
        ("resumable.part", 17 * MIB),
        pytest.param("resumable.stored", 1000, marks=pytest.mark.slow),
        ("resumable.sealed", 17 * MIB),
        pytest.param("upload.stored", 17 * MIB, marks=pytest.mark.slow),
        pytest.param("upload.committed", 17 * MIB, marks=pytest.mark.slow),
    ],
)
def test_patch_whose_process_was_killed_goes_on(arena: Arena, point: str, length: int):
    data = os.urandom(length)
    with arena.client() as client:
        path = create(client, length)
        arena.arm(point)
        with suppress(httpx2.TransportError):
            patch(client, path, 0, data)
        arena.service.wait_until_ready()
        finish(arena, client, path, data)


@pytest.mark.fault(
    "F35", "SIGKILL of the API while it keeps what arrived", "the upload goes on; one file, whole"
)
def test_patch_that_broke_off_and_was_killed_while_it_was_kept_goes_on(arena: Arena):
    data = os.urandom(9 * MIB)
    with arena.client() as client:
        path = create(client, len(data))
        patch(client, path, 0, data[:MIB])
        arena.arm("resumable.flushed")

        def broken() -> Iterator[bytes]:
            yield data[MIB : 3 * MIB]
            raise ConnectionError

        with suppress(ConnectionError, httpx2.TransportError):
            patch(client, path, MIB, broken())
        arena.wait_until_dead("resumable.flushed")
        arena.service.wait_until_ready()
        finish(arena, client, path, data)


@pytest.mark.slow
@pytest.mark.fault("F39", "SIGTERM to the API, and a PATCH that outlasts the grace", "what arrived is kept")
def test_patch_that_outlasts_a_stop_is_kept_and_goes_on(arena: Arena):
    data = os.urandom(16 * MIB)
    pid, gone = arena.service.pids["api"], threading.Event()

    def body() -> Iterator[bytes]:
        yield data[: 7 * MIB]
        os.kill(pid, signal.SIGTERM)
        while not gone.wait(0.2):
            yield b""
        yield data[7 * MIB :]

    with arena.client() as client:
        path = create(client, len(data))
        ender = threading.Timer(12, gone.set)
        ender.start()
        with suppress(httpx2.TransportError):
            patch(client, path, 0, body())
        ender.cancel()
        arena.service.wait_until_restarted("api", old_pid=pid)
        arena.service.wait_until_ready()
        time.sleep(0.5)
        assert offset_of(client, path) == 7 * MIB
        finish(arena, client, path, data)
