"""Connections that break, clients that fall silent, and requests that meet: no byte is lost or mixed."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import TAILS
from media_service.storage.port import Storage
from media_service.tables import File, UploadSession
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.raw_http import RawConnection
from tests.support.tus import PATCH_TYPE, TusClient

MIB = 1024 * 1024
LEASE_SECONDS = 1.5


@pytest.fixture
def tus(server: ApiServer, owner: Owner) -> TusClient:
    return TusClient(server, owner.headers)


@pytest.fixture(scope="module")
def pair(backend: Backend) -> Iterator[tuple[ApiServer, ApiServer]]:
    """Two API processes over one backend, as far as they know; locks of dead holders end soon."""
    short = {"resumable_lock_lease": LEASE_SECONDS, "resumable_lock_wait": 10}
    with ApiServer(backend.settings, **short) as one, ApiServer(backend.settings, **short) as other:
        yield one, other


def begin_patch(server: ApiServer, owner: Owner, url: str, offset: int, length: int) -> RawConnection:
    connection = RawConnection(server.port)
    headers = {
        **owner.headers,
        "Tus-Resumable": "1.0.0",
        "Content-Type": PATCH_TYPE,
        "Upload-Offset": str(offset),
        "Content-Length": str(length),
    }
    connection.send_head("PATCH", "/v1/uploads/" + url.rpartition("/")[2], headers)
    return connection


def wait_for(is_true: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_held(backend: Backend) -> bool:
    return any(row.holder is not None for row in backend.rows(UploadSession))


@pytest.mark.parametrize("sent", [100, 3 * MIB, 11 * MIB + 5])
def test_what_arrived_before_the_connection_broke_is_kept(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend, sent: int
):
    data = os.urandom(13 * MIB)
    url = tus.created(len(data))
    with begin_patch(server, owner, url, 0, len(data)) as connection:
        connection.send(data[:sent])
        wait_for(lambda: server.app.state.upload_memory.held_bytes or is_held(clean_backend))
        time.sleep(0.3)
        connection.socket.shutdown(1)
    offset = tus.offset(url)
    assert 0 < offset <= sent
    answer = tus.patch(url, offset, data[offset:])
    assert answer.status_code == 204
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == data
    assert server.app.state.upload_memory.held_bytes == 0
    assert list(clean_backend.storage.list_objects(TAILS)) == []


@pytest.mark.parametrize("asked", ["same process", "another process"])
def test_silent_client_holds_nobody_up(pair: tuple[ApiServer, ApiServer], clean_backend: Backend, asked: str):
    first, second = pair if asked == "another process" else (pair[0], pair[0])
    owner = clean_backend.add_owner()
    tus, url_client = TusClient(second, owner.headers), TusClient(first, owner.headers)
    data = os.urandom(6 * MIB)
    url = url_client.created(len(data)).rpartition("/")[2]
    with begin_patch(first, owner, url, 0, len(data)) as connection:
        connection.send(data[:2_000_000])
        wait_for(lambda: is_held(clean_backend))
        time.sleep(0.5)
        started = time.monotonic()
        offset = tus.offset(f"/v1/uploads/{url}")
        assert time.monotonic() - started < 2
        assert offset == 2_000_000
        answer = tus.patch(f"/v1/uploads/{url}", offset, data[offset:])
        assert answer.status_code == 204
        assert connection.answer().status == 409
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == data


ROUNDS, PIECE_BYTES = 200, 3000


@pytest.mark.timeout(400)
def test_of_two_patches_at_one_offset_in_two_processes_one_counts_and_whole(
    pair: tuple[ApiServer, ApiServer], clean_backend: Backend
):
    owner = clean_backend.add_owner()
    clients = [TusClient(server, owner.headers) for server in pair]
    path = "/v1/uploads/" + clients[0].created(ROUNDS * PIECE_BYTES).rpartition("/")[2]
    won = b""
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            pieces = [bytes([number % 256]) + name * (PIECE_BYTES - 1) for name in (b"a", b"b")]
            barrier = threading.Barrier(2)

            def patch(
                client: TusClient, piece: bytes, offset: int = len(won), barrier: threading.Barrier = barrier
            ) -> httpx2.Response:
                barrier.wait()
                return client.patch(path, offset, piece)

            answers = list(pool.map(patch, clients, pieces))
            statuses = [answer.status_code for answer in answers]
            assert sorted(statuses) in ([204, 409], [204, 423]), [answer.text for answer in answers]
            won += pieces[statuses.index(204)]
    [file] = clean_backend.rows(File)
    assert clean_backend.read(file.key) == won


def freeze(server: ApiServer, seconds: float) -> None:
    """Stop a server's event loop for a while, heartbeats and all, as SIGSTOP would."""
    loop = server.app.state.resumable.uploads._locks._looking._task.get_loop()
    loop.call_soon_threadsafe(time.sleep, seconds)


@pytest.mark.parametrize("sent", [2 * MIB, 12 * MIB])
def test_holder_that_was_paused_past_its_lease_changes_nothing_when_it_wakes(
    pair: tuple[ApiServer, ApiServer], clean_backend: Backend, sent: int
):
    paused, other = pair
    owner = clean_backend.add_owner()
    length = 14 * MIB
    old, new = b"o" * length, b"n" * length
    path = "/v1/uploads/" + TusClient(paused, owner.headers).created(length).rpartition("/")[2]
    tus = TusClient(other, owner.headers)
    with begin_patch(paused, owner, path, 0, length) as connection:
        connection.send(old[:sent])
        wait_for(lambda: is_held(clean_backend))
        time.sleep(0.5)
        freeze(paused, LEASE_SECONDS * 2.5)
        connection.socket.settimeout(0.1)
        with suppress(TimeoutError):
            connection.send(old[sent:])
        time.sleep(LEASE_SECONDS * 1.2)
        offset = tus.offset(path)
        half = offset + (length - offset) // 2
        assert tus.patch(path, offset, new[offset:half]).status_code == 204
        connection.socket.settimeout(20)
        time.sleep(LEASE_SECONDS * 1.5)  # it is awake again
        assert tus.offset(path) == half
        answer = tus.patch(path, half, new[half:])
        assert answer.status_code == 204, answer.text
    expected = old[:offset] + new[offset:]
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == expected
    time.sleep(0.5)
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == expected


class LateStorage:
    """Parts and puts of one process wait until they are let go."""

    def __init__(self, inner: Any, gate: threading.Event) -> None:
        self._inner = inner
        self._gate = gate

    def put_part(self, *args: Any, **more: Any) -> Any:
        self._gate.wait(20)
        return self._inner.put_part(*args, **more)

    def put(self, *args: Any, **more: Any) -> Any:
        self._gate.wait(20)
        return self._inner.put(*args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("length", [100, 13 * MIB])
def test_write_of_a_lost_holder_that_comes_late_reaches_nothing(
    pair: tuple[ApiServer, ApiServer], clean_backend: Backend, length: int
):
    paused, other = pair
    owner = clean_backend.add_owner()
    path = "/v1/uploads/" + TusClient(paused, owner.headers).created(length).rpartition("/")[2]
    tus, gate = TusClient(other, owner.headers), threading.Event()

    def wrap(storage: Storage) -> Any:
        return LateStorage(storage, gate)

    with paused.storage_wrapped(wrap), ThreadPoolExecutor(1) as pool:
        late = pool.submit(TusClient(paused, owner.headers).patch, path, 0, b"o" * length)
        wait_for(lambda: is_held(clean_backend))
        time.sleep(0.3)
        freeze(paused, LEASE_SECONDS * 3)
        time.sleep(LEASE_SECONDS * 1.2)
        answer = tus.patch(path, 0, b"n" * length)
        assert answer.status_code == 204, answer.text
        gate.set()
        assert late.result().status_code in {409, 503}
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == b"n" * length
    assert len(clean_backend.rows(File)) == 1


class FailingStorage:
    """One method fails, a number of times."""

    def __init__(self, inner: Any, method: str, times: int) -> None:
        self._inner = inner
        self._method = method
        self._left = times

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self._left > 0:
            self._left -= 1
            raise StorageUnavailableError
        return getattr(self._inner, name)


@pytest.mark.parametrize("method", ["put_part", "put", "create_upload", "complete_upload"])
@pytest.mark.parametrize("length", [100, 13 * MIB])
def test_storage_that_fails_once_costs_a_retry_and_no_byte(
    server: ApiServer, tus: TusClient, clean_backend: Backend, method: str, length: int
):
    data = os.urandom(length)
    url = tus.created(length)
    with server.storage_wrapped(lambda storage: FailingStorage(storage, method, 1)):
        first = tus.patch(url, 0, data)
        assert first.status_code in {204, 503}
        offset = tus.offset(url)
        assert first.status_code == 503 or offset == length
        answer = tus.patch(url, offset, data[offset:])
    assert answer.status_code == 204, answer.text
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == data
    assert len(clean_backend.rows(File)) == 1


def test_upload_whose_last_request_could_not_finish_it_is_finished_by_a_head(
    server: ApiServer, tus: TusClient, clean_backend: Backend
):
    data = os.urandom(13 * MIB)
    url = tus.created(len(data))
    with server.storage_wrapped(lambda storage: FailingStorage(storage, "complete_upload", 1)):
        assert tus.patch(url, 0, data).status_code == 503
    head = tus.head(url)
    assert head.headers["Upload-Offset"] == str(len(data))
    assert clean_backend.read(f"originals/{head.headers['X-File-Id']}") == data


def test_delete_ends_a_patch_that_is_on_its_way(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend
):
    url = tus.created(10 * MIB)
    with begin_patch(server, owner, url, 0, 10 * MIB) as connection:
        connection.send(bytes(7 * MIB))
        wait_for(lambda: is_held(clean_backend))
        assert tus.request("DELETE", url, {}).status_code == 204
        assert connection.answer().status in {404, 409}
    assert clean_backend.leftovers() == {}
    assert list(clean_backend.storage.list_objects(TAILS)) == []
