"""With MEDIA_ACCEL_REDIRECT_PREFIX the proxy is told where an original lies, once the service has judged."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.problems import assert_problem

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

DATA = b"some words, and more"


@pytest.fixture(scope="module")
def fronted_server(backend: Backend) -> Iterator[ApiServer]:
    with ApiServer(backend.settings, accel_redirect_prefix="/_media/") as server:
        yield server


@pytest.fixture
def fronted(fronted_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return fronted_server


@pytest.fixture
def path(fronted: ApiServer) -> str:
    posted = fronted.client.post("/v1/files?filename=a.txt", headers=ADMIN, content=DATA)
    return f"/v1/files/{posted.json()['items'][0]['id']}/content"


def get(server: ApiServer, path: str, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.client.get(path, headers={**ADMIN, **named})


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1-2"}, {"Range": "bytes=1-2", "If_Range": '"x"'}])
def test_original_is_a_head_that_names_its_file(
    fronted: ApiServer, backend: Backend, path: str, headers: dict[str, str]
):
    answer = get(fronted, path, **headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["etag"].startswith('"')
    assert "sandbox" in answer.headers["content-security-policy"]
    prefix, _, below = answer.headers["x-accel-redirect"].partition("/_media/")
    assert prefix == ""
    objects: Path = backend.values["data_dir"] / "storage" / "objects"
    assert (objects / below).read_bytes() == DATA


def test_what_the_service_refuses_or_knows_unchanged_is_no_redirect(fronted: ApiServer, path: str):
    etag = get(fronted, path).headers["etag"]
    unchanged = get(fronted, path, If_None_Match=etag)
    assert (unchanged.status_code, "x-accel-redirect" in unchanged.headers) == (304, False)
    assert_problem(get(fronted, path, Range="bytes=99-"), 416, "range-not-satisfiable")
    assert_problem(get(fronted, path, If_Match='"other"'), 412, "precondition-failed")
    assert_problem(fronted.client.get(path), 401, "missing-credentials")


def test_condition_that_the_proxy_would_judge_again_is_answered_whole(fronted: ApiServer, path: str):
    etag = get(fronted, path).headers["etag"]
    assert get(fronted, path, If_Match=etag).content == DATA
    assert get(fronted, path, If_Unmodified_Since="Fri, 01 Jan 2100 00:00:00 GMT").content == DATA


def test_head_is_answered_by_the_service(fronted: ApiServer, path: str):
    answer = fronted.client.head(path, headers=ADMIN)
    assert "x-accel-redirect" not in answer.headers
    assert answer.headers["content-length"] == str(len(DATA))
