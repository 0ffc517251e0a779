"""Uploads of a process that has no memory left for them."""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.forms import CONTENT_TYPE, file_part, form
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def frugal_server(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Holds 100 kB of all uploads together."""
    changes: dict[str, Any] = {"upload_memory": 100_000}
    if backend.is_s3:
        changes["data_dir"] = tmp_path_factory.mktemp("frugal")
    with ApiServer(backend.settings, **changes) as server:
        yield server


@pytest.fixture
def frugal(frugal_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return frugal_server


def wait_until_nothing_is_held(server: ApiServer) -> None:
    deadline = time.monotonic() + 20
    while server.app.state.upload_memory.held_bytes:
        assert time.monotonic() < deadline, "bytes were not given back"
        time.sleep(0.01)


@pytest.mark.parametrize("size_bytes", [100, 99_000, 300_000, 20 * MIB + 1])
def test_upload_beyond_the_memory_arrives_whole(frugal: ApiServer, size_bytes: int):
    data = os.urandom(size_bytes)
    body = form(file_part(data), file_part(images.jpeg(80, 80)))
    answer = frugal.client.post("/v1/files", headers={**ADMIN, "Content-Type": CONTENT_TYPE}, content=body)
    assert answer.status_code == 201, answer.text
    item = answer.json()["items"][0]
    assert frugal.client.get(item["urls"]["content"], headers=ADMIN).content == data
    wait_until_nothing_is_held(frugal)


def test_connection_cut_while_a_part_is_spilled_leaves_nothing(frugal: ApiServer, clean_backend: Backend):
    memory = frugal.app.state.upload_memory
    with RawConnection(frugal.port) as connection:
        connection.send_head("POST", "/v1/files", {**ADMIN, "Content-Length": str(50 * MIB)})
        connection.send(bytes(12 * MIB))
        connection.reset()
    wait_until_nothing_is_held(frugal)
    deadline = time.monotonic() + 20
    while clean_backend.leftovers():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert list(Path(memory.spill_dir).iterdir()) == []


def test_disk_that_is_full_for_spilled_parts_is_a_507(frugal: ApiServer, clean_backend: Backend):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, hard))
    try:
        answer = frugal.client.post("/v1/files", headers=ADMIN, content=bytes(950_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_problem(answer, 507, "storage-full")
    assert clean_backend.leftovers() == {}
    wait_until_nothing_is_held(frugal)
