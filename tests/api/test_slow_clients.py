"""Clients that stop, drip, or never finish a head; and that nobody else notices them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.forms import CONTENT_TYPE, file_part
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection

SOON_SECONDS = 0.6
"""The patience of the impatient server: enough for a busy machine, little enough to wait for."""
FORM_HEAD = {**ADMIN, "Content-Type": CONTENT_TYPE, "Content-Length": "2000000"}


@pytest.fixture(scope="module")
def impatient_server(backend: Backend) -> Iterator[ApiServer]:
    patience = {"header_timeout": SOON_SECONDS, "body_idle_timeout": SOON_SECONDS, "body_min_rate": 2000}
    with ApiServer(backend.settings, **patience, max_connections=20) as server:
        yield server


@pytest.fixture
def impatient(impatient_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return impatient_server


def problem_on(connection: RawConnection, path: str) -> httpx2.Response:
    """The answer as any other client would see it."""
    answer = connection.answer()
    request = httpx2.Request("POST", f"http://test{path}")
    return httpx2.Response(answer.status, headers=answer.getheaders(), content=answer.read(), request=request)


def assert_refused_connection(connection: RawConnection, status: int, code: str) -> None:
    """A problem that belongs to no request: nobody knows yet what it would have been."""
    answer = connection.answer()
    problem = json.loads(answer.read())
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert answer.getheader("X-Request-ID") == problem["request_id"]
    assert connection.is_closed_by_peer()


@pytest.mark.parametrize("sent", [b"", file_part(b"x" * 1_500_000)[:-2]], ids=["nothing", "half"])
def test_body_that_stops_is_a_408_and_leaves_nothing(
    impatient: ApiServer, clean_backend: Backend, sent: bytes
):
    with RawConnection(impatient.port) as client:
        client.send_head("POST", "/v1/files", FORM_HEAD)
        client.send(sent)
        assert_problem(problem_on(client, "/v1/files"), 408, "body-timeout")
        assert client.is_closed_by_peer()
    assert clean_backend.leftovers() == {}
    assert impatient.app.state.upload_memory.held_bytes == 0


def test_json_body_that_stops_is_a_408(impatient: ApiServer):
    with RawConnection(impatient.port) as client:
        client.send_head(
            "POST", "/v1/urls", {**ADMIN, "Content-Type": "application/json", "Content-Length": "100"}
        )
        client.send(b"{")
        assert_problem(problem_on(client, "/v1/urls"), 408, "body-timeout")


def test_body_that_only_drips_is_a_408(impatient: ApiServer, clean_backend: Backend):
    with RawConnection(impatient.port) as client:
        client.send_head("POST", "/v1/files", {**ADMIN, "Content-Length": "1000000"})
        deadline = time.monotonic() + 20
        client.socket.setblocking(False)
        while time.monotonic() < deadline:
            client.socket.send(b"x")
            time.sleep(0.05)
            try:
                started = client.socket.recv(12)
                break
            except BlockingIOError:
                continue
    assert started == b"HTTP/1.1 408"
    assert clean_backend.leftovers() == {}


def test_slow_body_over_the_least_rate_is_taken(impatient: ApiServer, clean_backend: Backend):
    with RawConnection(impatient.port) as client:
        client.send_head("POST", "/v1/files", {**ADMIN, "Content-Length": "20000"})
        for _ in range(20):
            client.send(b"x" * 1000)
            time.sleep(SOON_SECONDS / 6)
        assert client.answer().status == 201


@pytest.mark.parametrize("sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: "])
def test_head_that_never_ends_is_a_408(impatient: ApiServer, sent: bytes):
    with RawConnection(impatient.port) as client:
        client.send(sent)
        assert_refused_connection(client, 408, "header-timeout")


def test_kept_connection_may_be_idle_for_longer_than_a_head_may_take(impatient: ApiServer):
    with RawConnection(impatient.port) as client:
        for _ in range(2):
            client.send_head("GET", "/livez", {})
            answer = client.answer()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
            time.sleep(SOON_SECONDS * 1.5)


def test_connection_over_the_limit_is_a_503_and_the_service_recovers(impatient: ApiServer):
    crowd = [RawConnection(impatient.port) for _ in range(20)]
    try:
        with RawConnection(impatient.port) as client:
            assert_refused_connection(client, 503, "too-many-connections")
    finally:
        for connection in crowd:
            connection.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with httpx2.Client() as client:
            if client.get(f"{impatient.base_url}/livez").status_code == 200:
                return
    raise AssertionError("the service did not recover")


@pytest.fixture(scope="module")
def patient_server(backend: Backend) -> Iterator[ApiServer]:
    """As it is by default, but with memory for a few parts only."""
    with ApiServer(backend.settings, upload_memory=100_000) as server:
        yield server


@asynccontextmanager
async def connected(server: ApiServer) -> AsyncIterator[asyncio.StreamWriter]:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield writer
    finally:
        writer.close()


async def drip(writer: asyncio.StreamWriter, server: ApiServer) -> None:
    """A large upload at 1 kB/s, for ever."""
    key = ADMIN["Authorization"]
    head = f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 50000000\r\n\r\n"
    writer.write(head.encode() + b"x" * 5000)
    while True:
        writer.write(b"x" * 1000)
        await writer.drain()
        await asyncio.sleep(1)


def test_two_hundred_slow_uploads_hold_nobody_up(patient_server: ApiServer, clean_backend: Backend):
    async def scenario() -> list[float]:
        async with AsyncExitStack() as stack:
            writers = [await stack.enter_async_context(connected(patient_server)) for _ in range(200)]
            dripping = [asyncio.create_task(drip(writer, patient_server)) for writer in writers]
            await asyncio.sleep(3)
            # More than a megabyte has arrived by now, of which 100 kB may be in memory.
            assert 0 < patient_server.app.state.upload_memory.held_bytes <= 100_000
            times = [await asyncio.to_thread(upload_three_megabytes, patient_server) for _ in range(3)]
            for task in dripping:
                task.cancel()
            return times

    assert max(asyncio.run(scenario())) < 3
    wait_until_given_back(patient_server)


def upload_three_megabytes(server: ApiServer) -> float:
    started = time.monotonic()
    with httpx2.Client() as client:
        answer = client.post(
            f"{server.base_url}/v1/files", headers=ADMIN, files={"file": ("a.bin", b"x" * 3_000_000)}
        )
    assert answer.status_code == 201
    return time.monotonic() - started


def wait_until_given_back(server: ApiServer) -> None:
    deadline = time.monotonic() + 20
    while server.app.state.upload_memory.held_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_half_open_connections_do_not_slow_readiness(patient_server: ApiServer, clean_backend: Backend):
    async def scenario() -> list[float]:
        async with AsyncExitStack() as stack:
            for _ in range(500):
                writer = await stack.enter_async_context(connected(patient_server))
                writer.write(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nX-Never: ")
            return [await asyncio.to_thread(readiness_seconds, patient_server) for _ in range(5)]

    assert max(asyncio.run(scenario())) < 0.5


def readiness_seconds(server: ApiServer) -> float:
    started = time.monotonic()
    assert server.client.get("/readyz").status_code == 200
    return time.monotonic() - started


def test_service_that_is_told_to_stop_says_so_before_it_refuses(backend: Backend, clean_backend: Backend):
    with ApiServer(backend.settings, shutdown_delay=1.5) as server:
        assert server.client.get("/readyz").status_code == 200
        server._server.should_exit = True
        deadline = time.monotonic() + 20
        while (answer := server.client.get("/readyz")).status_code == 200:
            assert time.monotonic() < deadline
        assert (answer.status_code, answer.json()["status"]) == (503, "draining")
        assert server.client.get("/livez").status_code == 200
        uploaded = server.client.post("/v1/files", headers=ADMIN, content=b"still taken")
        assert uploaded.status_code == 201
        server._thread.join(20)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{server.base_url}/livez")


HUGE = "x" * 200_000


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/livez", {"X-Long": HUGE}, 431, "headers-too-large"),
        ("/livez", {"X-Long": "x" * 33_000}, 431, "headers-too-large"),
        ("/livez", {f"X-{number}": "y" for number in range(101)}, 431, "headers-too-large"),
        (f"/livez?{'x' * 17_000}", {}, 414, "uri-too-long"),
        (f"/{'x' * 17_000}", {}, 414, "uri-too-long"),
    ],
)
def test_head_over_the_limits_is_refused(
    patient_server: ApiServer, path: str, headers: dict[str, str], status: int, code: str
):
    with RawConnection(patient_server.port) as client:
        client.send_head("GET", path, headers)
        answer = client.answer()
        problem = json.loads(answer.read())
    assert (answer.status, problem["code"]) == (status, code)
    assert answer.getheader("Content-Type") == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/livez", {"X-Long": "x" * 32_000}),
        ("/livez", {f"X-{number}": "y" for number in range(99)}),
        (f"/livez?{'x' * 16_000}", {}),
    ],
)
def test_head_within_the_limits_is_taken(patient_server: ApiServer, path: str, headers: dict[str, str]):
    with RawConnection(patient_server.port) as client:
        client.send_head("GET", path, headers)
        assert client.answer().status == 200


def test_head_that_goes_on_for_ever_is_cut_off(patient_server: ApiServer):
    with RawConnection(patient_server.port) as client:
        client.send(b"GET /livez HTTP/1.1\r\nX-Long: ")
        with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012 - one of the sends fails
            for _ in range(10_000):
                client.send(b"x" * 10_000)


def test_request_that_is_no_http_is_a_400(patient_server: ApiServer):
    with RawConnection(patient_server.port) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")
        assert_refused_connection(client, 400, "malformed-http")
