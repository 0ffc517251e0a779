"""Every row of the table of hostile requests, on a socket."""

import gzip
import json
import time
from collections.abc import Iterator

import pytest

from media_service.tables import File
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.hostile_http import FOLLOWER, JUNK, ROWS, SILENCES, Expected, HostileRequest
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection, exchange

# What is tested here ends before any storage.
pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

PATIENCE_SECONDS = 0.3
SECONDS = 4
"""From the first byte to the end of the connection, where a refused body is drained for two."""


@pytest.fixture(scope="module")
def impatient_server(backend: Backend) -> Iterator[ApiServer]:
    patience = {"header_timeout": PATIENCE_SECONDS, "body_idle_timeout": PATIENCE_SECONDS}
    with ApiServer(backend.settings, **patience) as server:
        yield server


@pytest.fixture
def impatient(impatient_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return impatient_server


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_request_has_its_answer_and_its_follower_only_where_it_is_whole(
    impatient: ApiServer, clean_backend: Backend, row: HostileRequest
):
    begun = time.monotonic()
    first, *more = exchange(impatient.port, [row.raw, FOLLOWER])
    assert time.monotonic() - begun < SECONDS
    assert (first.status, first.code) == (row.status, row.code)
    assert [answer.status for answer in more] == ([200] if row.is_kept else [])
    assert (first.headers.get("connection") == "close") is not row.is_kept
    stored = {"files", "events", "objects"} if row.status == 201 else set()
    assert set(clean_backend.leftovers()) == stored


@pytest.mark.parametrize("row", SILENCES, ids=lambda row: row[0])
def test_request_that_stops_is_a_408(
    impatient: ApiServer, clean_backend: Backend, row: tuple[str, bytes, Expected]
):
    _, raw, expected = row
    begun = time.monotonic()
    with RawConnection(impatient.port) as client:
        client.send(raw)
        answer = client.answer()
        assert PATIENCE_SECONDS <= time.monotonic() - begun < PATIENCE_SECONDS + 1
        assert (answer.status, json.loads(answer.read())["code"]) == expected
        assert answer.getheader("Connection") == "close"
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("row", JUNK, ids=lambda row: row[0])
def test_header_of_a_download_that_cannot_be_used_is_passed_over_or_refused(
    impatient: ApiServer, clean_backend: Backend, row: tuple[str, dict[str, str], int]
):
    posted = impatient.client.post("/v1/files", headers=ADMIN, content=b"some words")
    path = f"/v1/files/{posted.json()['items'][0]['id']}/content"
    _, headers, status = row
    sent = {name.encode(): value.encode() for name, value in {**ADMIN, **headers}.items()}
    begun = time.monotonic()
    answer = impatient.client.get(path, headers=sent)
    assert time.monotonic() - begun < 1
    assert answer.status_code == status
    assert answer.content == b"some words" or answer.json()["status"] == status


def test_file_that_comes_with_an_upgrade_is_stored_whole(impatient: ApiServer, clean_backend: Backend):
    # The HTTP client of Java asks for HTTP/2 with its first request, and goes on without it.
    data = bytes(range(256)) * 4000
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAA"}
    for content in (data, (data[at : at + 10_000] for at in range(0, len(data), 10_000))):
        answer = impatient.client.post("/v1/files", headers={**ADMIN, **upgrade}, content=content)
        assert answer.status_code == 201
    for file in clean_backend.rows(File):
        assert clean_backend.read(file.key) == data


def test_half_a_head_may_be_refused_before_the_rest_of_it_comes(impatient: ApiServer):
    pieces = [b"GET /livez HTTP/1.1\r\nX-A: ", *[b"x" * 100_000] * 200]
    [answer] = exchange(impatient.port, pieces)
    assert (answer.status, answer.code) == (431, "headers-too-large")


def test_refused_coding_says_which_one_is_taken(impatient: ApiServer, clean_backend: Backend):
    headers = {**ADMIN, "Content-Encoding": "gzip"}
    answer = impatient.client.post("/v1/files", headers=headers, content=gzip.compress(bytes(10_000_000)))
    assert_problem(answer, 415, "unsupported-content-encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert clean_backend.leftovers() == {}
