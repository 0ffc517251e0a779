"""The service behind a real nginx with the files of infra/nginx answers as it does without."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.models import new_id, utc_now
from media_service.tables import File, Rendition
from tests.support import nginx_server
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.gunicorn_server import GunicornServer
from tests.support.nginx_server import NginxServer
from tests.support.raw_http import RawConnection
from tests.support.tus import PATCH_TYPE, TusClient

pytestmark = [
    pytest.mark.deployment,
    pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True),
]

MIB = 1024 * 1024
MAX_FILE_BYTES = 8 * MIB
DATA = bytes(range(256)) * 1024
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
LONG_AGO, FAR_AHEAD = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

OF_EACH_HOP = {"date", "server", "connection", "x-request-id", "keep-alive", "x-cache"}
"""Headers that a proxy has of its own, and what is new in each answer."""


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return nginx_server.two_free_ports()


@pytest.fixture(scope="module")
def gunicorn(backend: Backend, ports: tuple[int, int]) -> Iterator[GunicornServer]:
    values = {
        **backend.values,
        "public_url": f"http://127.0.0.1:{ports[0]}",
        "trusted_proxies": "127.0.0.1",
        "accel_redirect_prefix": "/_media/",
        "max_file_size": MAX_FILE_BYTES,
        "body_idle_timeout": 2,
        "cors_origins": "https://app.example.org",
        "rate_limits": True,
    }
    with GunicornServer(values, port=ports[1]) as server:
        yield server


@pytest.fixture(scope="module")
def started_nginx(
    gunicorn: GunicornServer, backend: Backend, ports: tuple[int, int]
) -> Iterator[NginxServer]:
    objects = backend.values["data_dir"] / "storage" / "objects"
    with NginxServer(port=ports[0], upstream_port=ports[1], objects=objects) as server:
        yield server


@pytest.fixture
def nginx(started_nginx: NginxServer, clean_backend: Backend) -> NginxServer:
    return started_nginx


@pytest.fixture(scope="module")
def without(backend: Backend) -> Iterator[ApiServer]:
    """The same service, asked directly and without a proxy that sends for it."""
    with ApiServer(backend.settings, cors_origins="https://app.example.org", rate_limits=True) as server:
        yield server


def post(server: NginxServer, content: Any = DATA, name: str = "a.bin", **more: str) -> httpx2.Response:
    return server.client.post(f"/v1/files?filename={name}", headers={**ADMIN, **more}, content=content)


def content_path(answer: httpx2.Response) -> str:
    assert answer.status_code == 201
    return f"/v1/files/{answer.json()['items'][0]['id']}/content"


def add_rendition(backend: Backend, visibility: Visibility) -> str:
    """A file with a rendition; returns the path of its content."""
    file = File(
        id=new_id(), owner_id=backend.add_owner().id, filename="photo.jpg", content_type="image/jpeg",
        size_bytes=4, sha256="0" * 64, kind=FileKind.IMAGE, status=FileStatus.READY, visibility=visibility,
        tags=[], custom={}, media={},
    )  # fmt: skip
    rendition = Rendition(
        id=new_id(), file_id=file.id, name="thumb", recipe="0" * 16, content_type="image/webp", width_px=1,
        height_px=1, size_bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest(), created_at=utc_now(),
    )  # fmt: skip
    backend.storage.put(rendition.key, DATA, content_type=rendition.content_type)
    with backend.database.transaction() as session:
        session.add(file)
        session.flush()
        session.add(rendition)
    return f"/v1/files/{file.id}/renditions/thumb/content"


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Range": "bytes=0-99"},
        {"Range": "bytes=1000-"},
        {"Range": "bytes=-10"},
        {"Range": "bytes=100-99999999"},
        {"Range": "bytes=0-1,5-6"},
        {"Range": "bytes=99999999-"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-9", "If-Range": ETAG},
        {"Range": "bytes=0-9", "If-Range": '"other"'},
        {"Range": "bytes=0-9", "If-Range": LONG_AGO},
        {"If-None-Match": ETAG},
        {"If-None-Match": '"other"'},
        {"If-None-Match": '"other"', "If-Modified-Since": FAR_AHEAD},
        {"If-Modified-Since": FAR_AHEAD},
        {"If-Modified-Since": LONG_AGO},
        {"If-Match": ETAG},
        {"If-Match": '"other"'},
        {"If-Unmodified-Since": FAR_AHEAD, "Range": "bytes=3-5"},
        {"If-Unmodified-Since": LONG_AGO},
        {"Origin": "https://app.example.org"},
        {"Accept-Encoding": "gzip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_download_is_answered_as_without_the_proxy(
    nginx: NginxServer, without: ApiServer, method: str, headers: dict[str, str]
):
    path = content_path(post(nginx, name="Bilder%20%C3%BC.txt"))
    seen, expected = (
        server.client.request(method, path, headers={"Accept-Encoding": "identity", **ADMIN, **headers})
        for server in (nginx, without)
    )
    assert seen.status_code == expected.status_code
    if (
        seen.headers["content-type" if "content-type" in seen.headers else "date"]
        != "application/problem+json"
    ):
        assert seen.content == expected.content
    # nginx does not say in a range that there are ranges; nobody must (RFC 9110 §14.3).
    left_out = OF_EACH_HOP | ({"accept-ranges"} if seen.status_code == 206 else set())
    kept = [
        sorted(
            (name, "counts down" if name == "ratelimit" else value)
            for name, value in answer.headers.multi_items()
            if name not in left_out
        )
        for answer in (seen, expected)
    ]
    assert kept[0] == kept[1]


def test_range_of_last_modified_is_the_one_that_the_service_says(nginx: NginxServer):
    path = content_path(post(nginx))
    modified = nginx.client.get(path, headers=ADMIN).headers["last-modified"]
    answer = nginx.client.get(path, headers={**ADMIN, "Range": "bytes=1-3", "If-Range": modified})
    assert (answer.status_code, answer.content) == (206, DATA[1:4])


def test_file_that_is_gone_from_the_disk_is_a_503_problem(nginx: NginxServer, clean_backend: Backend):
    path = content_path(post(nginx))
    clean_backend.storage.delete(clean_backend.keys())
    answer = nginx.client.get(path, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == (
        "application/problem+json",
        "5",
    )


@pytest.mark.parametrize(
    "path",
    ["/_media/", "/_media/originals/", "/_media/../partial/", "/_media//etc/passwd", "/_media/%2e%2e/x"],
)
def test_folder_of_the_objects_is_nobodys_to_see(nginx: NginxServer, path: str):
    file_id = post(nginx).json()["items"][0]["id"]
    for asked in (path, f"/_media/originals/{file_id[-2:]}/{file_id}"):
        with RawConnection(nginx.port) as client:
            client.send_head("GET", asked, {**ADMIN, "Connection": "close"})
            assert client.answer().status in {400, 404}


def test_form_and_raw_bodies_are_stored_and_location_is_the_public_one(
    nginx: NginxServer, clean_backend: Backend
):
    form = nginx.client.post("/v1/files", headers=ADMIN, files={"file": ("a.bin", DATA)})
    raw = post(nginx)
    for answer in (form, raw):
        (item,) = answer.json()["items"]
        assert answer.status_code == 201
        assert item["sha256"] == hashlib.sha256(DATA).hexdigest()
        assert item["urls"]["self"].startswith(f"{nginx.base_url}/v1/files/")
        assert answer.headers.get("location", nginx.base_url).startswith(nginx.base_url)


def test_body_reaches_the_service_while_it_comes(nginx: NginxServer, clean_backend: Backend):
    with RawConnection(nginx.port) as client:
        client.send_head("POST", "/v1/files?filename=a.bin", {**ADMIN, "Content-Length": str(6 * MIB)})
        client.send(bytes(3 * MIB))
        wait_for(lambda: bool(list(clean_backend.storage.list_uploads())))
        client.send(bytes(3 * MIB))
        assert client.answer().status == 201


def test_upload_that_takes_its_time_is_taken(nginx: NginxServer):
    def body() -> Iterator[bytes]:
        for _ in range(6):
            yield bytes(10_000)
            time.sleep(0.7)

    assert post(nginx, body()).status_code == 201


def test_client_that_goes_away_in_mid_upload_leaves_nothing(nginx: NginxServer, clean_backend: Backend):
    with RawConnection(nginx.port) as client:
        client.send_head("POST", "/v1/files?filename=a.bin", {**ADMIN, "Content-Length": str(6 * MIB)})
        client.send(bytes(3 * MIB))
        wait_for(lambda: bool(list(clean_backend.storage.list_uploads())))
        client.reset()
    wait_for(lambda: clean_backend.leftovers() == {})


def test_resumable_upload_keeps_what_came_before_its_connection_broke(nginx: NginxServer):
    tus = TusClient(nginx, ADMIN)
    data = DATA * 24
    url = tus.created(len(data))
    assert url.startswith(f"{nginx.base_url}/v1/uploads/")
    with RawConnection(nginx.port) as client:
        head = {
            **ADMIN,
            "Tus-Resumable": "1.0.0",
            "Content-Type": PATCH_TYPE,
            "Upload-Offset": "0",
            "Content-Length": str(len(data)),
        }
        client.send_head("PATCH", url.removeprefix(nginx.base_url), head)
        client.send(data[: len(data) // 2])
        time.sleep(0.5)
        client.reset()
    offset = tus.offset(url)
    assert 0 < offset <= len(data) // 2
    ended = tus.patch(url, offset, data[offset:])
    assert ended.status_code == 204
    path = f"/v1/files/{ended.headers['X-File-Id']}/content"
    assert nginx.client.get(path, headers=ADMIN).content == data


def test_client_that_goes_away_in_mid_download_harms_nobody(nginx: NginxServer):
    path = content_path(post(nginx, bytes(MAX_FILE_BYTES)))
    for _ in range(20):
        with RawConnection(nginx.port) as client:
            client.send_head("GET", path, ADMIN)
            client.answer().read(1000)
            client.reset()
    assert len(nginx.client.get(path, headers=ADMIN).content) == MAX_FILE_BYTES


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_refusal_in_mid_body_arrives(nginx: NginxServer, clean_backend: Backend, framing: str):
    size_bytes = 48 * MIB

    def chunks() -> Iterator[bytes]:
        for _ in range(size_bytes // MIB):
            yield bytes(MIB)

    more = {"Content-Length": str(size_bytes)} if framing == "length" else {}
    answer = post(nginx, chunks(), **more)
    assert (answer.status_code, answer.json()["code"]) == (413, "file-too-large")
    assert clean_backend.leftovers() == {}


def test_refusal_before_the_body_arrives(nginx: NginxServer):
    answer = nginx.client.post("/v1/files?filename=a.bin", content=bytes(20 * MIB))
    assert (answer.status_code, answer.json()["code"]) == (401, "missing-credentials")


def test_body_that_stops_is_the_408_of_the_service(nginx: NginxServer, clean_backend: Backend):
    with RawConnection(nginx.port) as client:
        client.send_head("POST", "/v1/files?filename=a.bin", {**ADMIN, "Content-Length": "1000"})
        client.send(bytes(10))
        answer = client.answer()
        assert (answer.status, json.loads(answer.read())["code"]) == (408, "body-timeout")
    wait_for(lambda: clean_backend.leftovers() == {})


def test_client_that_waits_for_a_100_gets_one(nginx: NginxServer):
    with RawConnection(nginx.port) as client:
        head = {**ADMIN, "Content-Length": str(len(DATA)), "Expect": "100-continue"}
        client.send_head("POST", "/v1/files?filename=a.bin", head)
        assert client.receive_head().startswith(b"HTTP/1.1 100 ")
        client.send(DATA)
        assert client.answer().status == 201


def test_client_is_who_speaks_to_nginx_whatever_it_says(nginx: NginxServer, gunicorn: GunicornServer):
    transport = httpx2.HTTPTransport(local_address="127.0.0.7")
    claims = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Forwarded-Proto": "https"}
    with httpx2.Client(base_url=nginx.base_url, transport=transport) as client:
        request_id = client.get("/v1/files", headers={**ADMIN, **claims}).headers["x-request-id"]
    wait_for(lambda: request_id in gunicorn.log)
    (line,) = [
        line for line in map(json.loads, gunicorn.log.splitlines()) if line.get("request_id") == request_id
    ]
    assert line["client"] == "127.0.0.7"
    assert request_id in nginx.access_log


def test_signatures_do_not_stand_in_the_log(nginx: NginxServer):
    file_id = post(nginx).json()["items"][0]["id"]
    url = nginx.client.get(f"/v1/files/{file_id}/url", headers=ADMIN).json()["url"]
    assert url.startswith(nginx.base_url)
    assert nginx.client.get(url).content == DATA
    assert "/v1/signed/" in nginx.access_log
    assert "sig=" not in nginx.access_log


def test_public_rendition_is_kept_by_the_proxy_and_nothing_else_is(
    nginx: NginxServer, clean_backend: Backend
):
    path = add_rendition(clean_backend, Visibility.PUBLIC)
    seen = [nginx.client.get(path) for _ in range(2)]
    assert [(answer.status_code, answer.headers["x-cache"]) for answer in seen] == [
        (200, "MISS"),
        (200, "HIT"),
    ]
    assert seen[0].content == seen[1].content == DATA
    unchanged = nginx.client.get(path, headers={"If-None-Match": seen[0].headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["x-cache"]) == (304, "HIT")
    for headers in ({"Range": "bytes=1-2"}, ADMIN, {"If-Match": '"other"'}):
        answer = nginx.client.get(path, headers=headers)
        assert answer.status_code in {206, 200, 412}
        assert "x-cache" not in answer.headers

    private = add_rendition(clean_backend, Visibility.PRIVATE)
    assert nginx.client.get(private, headers=ADMIN).status_code == 200
    refused = [nginx.client.get(private) for _ in range(2)]
    assert [answer.status_code for answer in refused] == [401, 401]
    assert refused[1].json()["code"] == "missing-credentials"


def test_head_that_is_too_large_is_refused(nginx: NginxServer):
    assert nginx.client.get("/livez", headers={"X-Large": "x" * 20_000}).status_code == 200
    assert nginx.client.get("/livez", headers={"X-Large": "x" * 40_000}).status_code in {400, 431}


def test_service_that_is_away_is_a_503_problem(tmp_path: Path, clean_backend: Backend):
    port, closed = nginx_server.two_free_ports()
    with NginxServer(port=port, upstream_port=closed, objects=tmp_path) as lonely:
        for path in ("/livez", f"/v1/files/{new_id()}/renditions/thumb/content"):
            for headers in ({}, ADMIN):
                answer = lonely.client.get(path, headers=headers)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert answer.headers["content-type"] == "application/problem+json"
