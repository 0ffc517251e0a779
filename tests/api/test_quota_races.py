"""A hundred uploads at once, and room for one file more."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from media_service.auth.models import User
from media_service.tables import File, UploadSession
from tests.support import direct
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.forms import CONTENT_TYPE, file_part, form
from tests.support.raw_http import exchange
from tests.support.tus import TusClient

MIB = 1024 * 1024
CROWD = 100
SMALL = 20_000
LARGE = 6 * MIB
"""Above the first part of both storages."""


def request(owner: Owner, size_bytes: int, *, is_form: bool, is_chunked: bool = False) -> Iterator[bytes]:
    """A whole upload, in pieces."""
    body = form(file_part(b"x" * size_bytes)) if is_form else b"x" * size_bytes
    content_type = CONTENT_TYPE if is_form else "application/octet-stream"
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    lines = [
        "POST /v1/files HTTP/1.1", "Host: test", "Connection: close", f"Content-Type: {content_type}",
        framing, *(f"{name}: {value}" for name, value in owner.headers.items()),
    ]  # fmt: skip
    yield ("\r\n".join(lines) + "\r\n\r\n").encode()
    for at in range(0, len(body), 256 * 1024):
        piece = body[at : at + 256 * 1024]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if is_chunked else piece
    if is_chunked:
        yield b"0\r\n\r\n"


def answers_of_a_crowd(server: ApiServer, owner: Owner, size_bytes: int, **how: bool) -> Counter[object]:
    start = Barrier(CROWD)

    def upload(_: int) -> object:
        start.wait(30)
        (answer,) = exchange(server.port, request(owner, size_bytes, **how), timeout_seconds=120)
        return answer.code or answer.status

    with ThreadPoolExecutor(CROWD) as pool:
        return Counter(pool.map(upload, range(CROWD)))


def figures(backend: Backend, owner: Owner) -> tuple[int, int]:
    (user,) = [user for user in backend.rows(User) if user.id == owner.id]
    return user.stored_bytes, user.stored_files


@pytest.mark.parametrize("is_form", [False, True], ids=["raw", "form"])
@pytest.mark.parametrize("size_bytes", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("quota", ["bytes", "files"])
def test_of_a_hundred_uploads_at_quota_minus_one_file_exactly_one_wins(
    server: ApiServer, clean_backend: Backend, size_bytes: int, quota: str, *, is_form: bool
):
    if quota == "files":
        owner = clean_backend.add_owner(quota_files=2)
    else:
        owner = clean_backend.add_owner(quota_bytes=100 + size_bytes)
    server.client.post("/v1/files", headers=owner.headers, content=b"y" * 100)
    answers = answers_of_a_crowd(server, owner, size_bytes, is_form=is_form)
    assert answers == {201: 1, "quota-exceeded": CROWD - 1}
    assert figures(clean_backend, owner) == (100 + size_bytes, 2)
    assert len(clean_backend.keys()) == 2
    assert clean_backend.rows(UploadSession) == []


@pytest.mark.parametrize("is_form", [False, True], ids=["raw", "form"])
def test_of_a_hundred_large_uploads_as_many_win_as_fit(
    server: ApiServer, clean_backend: Backend, *, is_form: bool
):
    owner = clean_backend.add_owner(quota_bytes=3 * LARGE + LARGE // 2)
    answers = answers_of_a_crowd(server, owner, LARGE, is_form=is_form)
    assert answers == {201: 3, "quota-exceeded": CROWD - 3}
    assert figures(clean_backend, owner) == (3 * LARGE, 3)


def test_uploads_without_a_length_never_exceed_the_quota_together(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_bytes=3 * LARGE)
    answers = answers_of_a_crowd(server, owner, LARGE, is_form=False, is_chunked=True)
    assert set(answers) <= {201, "quota-exceeded"}
    assert figures(clean_backend, owner) == (answers[201] * LARGE, answers[201])
    assert answers[201] <= 3
    assert clean_backend.rows(UploadSession) == []


def test_uploads_and_deletes_at_once_leave_counters_that_add_up(server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner(quota_files=10)

    def upload_and_delete(_: int) -> int:
        answer = server.client.post("/v1/files", headers=owner.headers, content=b"x" * 1000)
        if answer.status_code != 201:
            return int(answer.status_code)
        file_id = answer.json()["items"][0]["id"]
        return int(server.client.delete(f"/v1/files/{file_id}", headers=owner.headers).status_code)

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(upload_and_delete, range(200))) <= {204, 507}
    assert figures(clean_backend, owner) == (0, 0)


def test_of_uploads_by_all_protocols_at_quota_minus_one_file_exactly_one_wins(
    server: ApiServer, clean_backend: Backend
):
    owner = clean_backend.add_owner(quota_bytes=LARGE + 100)
    body = b"x" * LARGE
    tus = TusClient(server, owner.headers)
    start = Barrier(CROWD)

    def by_form() -> object:
        (answer,) = exchange(server.port, request(owner, LARGE, is_form=True), timeout_seconds=120)
        return answer.code or answer.status

    def by_tus() -> object:
        answer = tus.create(LARGE)
        if answer.status_code != 201:
            return answer.json()["code"]
        done = tus.patch(answer.headers["Location"], 0, body)
        return 201 if done.status_code == 204 else done.json()["code"]

    def directly() -> object:
        wanted = {"filename": "a", "size": LARGE}
        answer = server.client.post("/v1/uploads/direct", headers=owner.headers, json=wanted)
        if answer.status_code != 201:
            return answer.json()["code"]
        direct.send(answer.json(), body)
        return direct.complete(server, owner, answer.json()["id"]).status_code

    def upload(number: int) -> object:
        start.wait(30)
        return (by_form, by_tus, directly)[number % 3]()

    with ThreadPoolExecutor(CROWD) as pool:
        answers = Counter(pool.map(upload, range(CROWD)))
    assert answers == {201: 1, "quota-exceeded": CROWD - 1}
    assert figures(clean_backend, owner) == (LARGE, 1)
    assert len(clean_backend.rows(File)) == 1
