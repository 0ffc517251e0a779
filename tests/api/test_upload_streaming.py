"""What only shows on a socket: order of checks, back-pressure, broken connections, early refusals."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from media_service.storage.exceptions import StorageFullError, StorageUnavailableError
from media_service.tables import UploadSession
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.forms import BOUNDARY, CONTENT_TYPE, file_part, form
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection
from tests.support.storages import BlockedStorage, RaisingStorage

MIB = 1024 * 1024
FORM_START = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n\r\n'.encode()
FORMS = {"form": (CONTENT_TYPE, FORM_START), "raw": ("application/octet-stream", b"")}


def wait_until(is_true: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def statuses(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The statuses of the canonical log lines so far."""
    lines = [record.msg for record in caplog.records if record.name == "media_service.request"]
    return [line.get("status") for line in lines if isinstance(line, dict)]


def read_problem(connection: RawConnection, status: int, code: str) -> dict[str, Any]:
    answer = connection.answer()
    assert answer.status == status
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert answer.getheader("Connection") == "close"
    length = answer.getheader("Content-Length")
    problem: dict[str, Any] = json.loads(answer.read(int(length)) if length else answer.read())
    assert problem["code"] == code
    return problem


@pytest.mark.parametrize("content_type", [content_type for content_type, _ in FORMS.values()])
@pytest.mark.parametrize("expects", [True, False])
def test_credentials_are_checked_before_a_byte_of_the_body_is_read(
    server: ApiServer, content_type: str, *, expects: bool
):
    headers = {"Content-Type": content_type, "Content-Length": str(100 * MIB)}
    with RawConnection(server.port) as connection:
        # No 100 Continue comes, and no byte of the body is ever sent.
        connection.send_head("POST", "/v1/files", headers | ({"Expect": "100-continue"} if expects else {}))
        assert connection.receive_head().startswith(b"HTTP/1.1 401 ")


def test_scope_is_checked_before_a_byte_of_the_body_is_read(server: ApiServer, clean_backend: Backend):
    reader = clean_backend.add_owner(scopes=("files:read",))
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST",
            "/v1/files",
            {**reader.headers, "Content-Length": "1000", "Expect": "100-continue"},
        )
        assert connection.receive_head().startswith(b"HTTP/1.1 403 ")


def test_declared_length_over_the_limit_is_refused_before_a_byte_of_the_body_is_read(server: ApiServer):
    too_long = str(server.settings.max_file_size + 1)
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**ADMIN, "Content-Length": too_long})
        problem = read_problem(connection, 413, "file-too-large")
    assert problem["limit_bytes"] == server.settings.max_file_size


def test_client_that_waits_for_100_continue_gets_it_and_uploads(server: ApiServer):
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**ADMIN, "Content-Length": "4", "Expect": "100-continue"})
        assert connection.receive_head().startswith(b"HTTP/1.1 100 ")
        connection.send(b"data")
        assert connection.answer().status == 201


def test_refusal_arrives_while_the_body_is_still_being_sent(server: ApiServer, clean_backend: Backend):
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": CONTENT_TYPE, "Content-Length": str(100 * MIB)}
        )
        connection.send(b"this is no form at all, and goes on\r\n" * 10)
        read_problem(connection, 400, "malformed-multipart")
        connection.send(b"x" * MIB)  # it is drained, so that the answer is not lost in a reset
        assert connection.is_closed_by_peer()
    assert clean_backend.leftovers() == {}


def test_client_that_sends_all_before_it_reads_still_sees_the_refusal(server: ApiServer):
    rest = 20 * MIB
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": CONTENT_TYPE, "Content-Length": str(rest)}
        )
        for _ in range(rest // MIB):
            connection.send(b"no form " * (MIB // 8))
        read_problem(connection, 400, "malformed-multipart")


@pytest.mark.parametrize("kind", FORMS)
def test_slow_storage_slows_the_socket_and_fills_no_memory(
    server: ApiServer, clean_backend: Backend, kind: str
):
    content_type, start = FORMS[kind]
    total = 200 * MIB
    blocked = BlockedStorage(clean_backend.storage)
    part_bytes = clean_backend.storage.part_limits.preferred_bytes
    with server.storage_wrapped(lambda _: blocked), RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": content_type, "Content-Length": str(total)}
        )
        connection.send(start)
        sent = 0
        connection.socket.settimeout(1)
        try:
            while sent < total - MIB:
                connection.send(bytes(MIB))
                sent += MIB
        except TimeoutError:
            pass
        # Two parts on their way and one being filled; the rest is in the buffers of the two sockets.
        assert blocked.bytes_taken <= 2 * part_bytes
        assert sent <= 3 * part_bytes + 32 * MIB
        connection.reset()
        blocked.released.set()
    wait_until(lambda: clean_backend.leftovers() == {})


@pytest.mark.parametrize("kind", FORMS)
def test_connection_cut_in_a_large_body_leaves_nothing(
    server: ApiServer, clean_backend: Backend, caplog: pytest.LogCaptureFixture, kind: str
):
    content_type, start = FORMS[kind]
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": content_type, "Content-Length": str(50 * MIB)}
        )
        connection.send(start + bytes(12 * MIB))
        wait_until(
            lambda: any(row.storage_upload_id is not None for row in clean_backend.rows(UploadSession))
        )
        connection.reset()
    wait_until(lambda: clean_backend.leftovers() == {})
    wait_until(lambda: statuses(caplog) == [499])


@pytest.mark.parametrize("kind", FORMS)
def test_connection_cut_in_a_small_body_leaves_nothing(
    server: ApiServer, clean_backend: Backend, caplog: pytest.LogCaptureFixture, kind: str
):
    content_type, start = FORMS[kind]
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": content_type, "Content-Length": "100000"}
        )
        connection.send(start + bytes(10_000))
    wait_until(lambda: statuses(caplog) == [499])
    assert clean_backend.leftovers() == {}


def test_connection_cut_after_a_whole_file_of_a_form_leaves_nothing(
    server: ApiServer, clean_backend: Backend, caplog: pytest.LogCaptureFixture
):
    with RawConnection(server.port) as connection:
        connection.send_head(
            "POST", "/v1/files", {**ADMIN, "Content-Type": CONTENT_TYPE, "Content-Length": str(50 * MIB)}
        )
        connection.send(file_part(b"whole") + FORM_START + b"cut")
        wait_until(lambda: clean_backend.keys() != set())
        connection.reset()
    wait_until(lambda: clean_backend.leftovers() == {})
    wait_until(lambda: statuses(caplog) == [499])


def test_chunked_body_that_breaks_off_leaves_nothing(
    server: ApiServer, clean_backend: Backend, caplog: pytest.LogCaptureFixture
):
    with RawConnection(server.port) as connection:
        connection.send_head("POST", "/v1/files", {**ADMIN, "Transfer-Encoding": "chunked"})
        connection.send_chunk(b"some data")
    wait_until(lambda: statuses(caplog) == [499])
    assert clean_backend.leftovers() == {}


SMALL, LARGE = b"small", bytes(12 * MIB)
FAULTS = {
    "a put": (SMALL, "put"),
    "the start of a multipart": (LARGE, "create_upload"),
    "a part": (LARGE, "put_part"),
    "the completion of a multipart": (LARGE, "complete_upload"),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_storage_that_fails_is_a_503_that_leaves_nothing(
    server: ApiServer, clean_backend: Backend, fault: str, *, after: bool
):
    data, method = FAULTS[fault]
    if method == "create_upload" and after:
        method = "put_part"  # an upload whose id was lost is the sweeper's (tests/jobs)
    error = StorageUnavailableError()
    with server.storage_wrapped(lambda real: RaisingStorage(real, method, error=error, after=after)):
        answer = server.client.post("/v1/files", headers=ADMIN, content=data)
    assert_problem(answer, 503, "storage-unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert clean_backend.leftovers() == {}


def test_full_storage_is_a_507(server: ApiServer, clean_backend: Backend):
    with server.storage_wrapped(lambda real: RaisingStorage(real, "put_part", error=StorageFullError())):
        answer = server.client.post("/v1/files", headers=ADMIN, content=LARGE)
    assert_problem(answer, 507, "storage-full")
    assert clean_backend.leftovers() == {}


def test_defect_in_the_storage_is_a_500_that_tells_nothing(server: ApiServer, clean_backend: Backend):
    error = ZeroDivisionError("a secret detail")
    with server.storage_wrapped(lambda real: RaisingStorage(real, "put", error=error)):
        answer = server.client.post(
            "/v1/files", headers={**ADMIN, "Content-Type": CONTENT_TYPE}, content=form(file_part(SMALL))
        )
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert clean_backend.leftovers() == {}
