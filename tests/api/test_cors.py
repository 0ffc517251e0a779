"""Pages of other origins: who is let in, and that they can read every answer, all refusals included."""

from collections.abc import Iterator

import httpx2
import pytest

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.web.cors import ALLOWED_HEADERS, EXPOSED_HEADERS, METHODS
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection

# What is tested here ends before any storage.
pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

PAGE = "https://app.example.org"
OTHER_PAGE = "http://localhost:5173"
STRANGER = "https://evil.example.org"
LIMIT = 100_000
FILE = "019abc12-3456-7def-8123-456789abcdef"

FILE_ROUTES = [
    ("/v1/files", "POST"),
    ("/v1/files", "GET"),
    (f"/v1/files/{FILE}", "PATCH"),
    (f"/v1/files/{FILE}", "PUT"),
    (f"/v1/files/{FILE}", "DELETE"),
    (f"/v1/files/{FILE}/content", "HEAD"),
    (f"/v1/signed/files/{FILE}/content", "GET"),
    (f"/v1/files/{FILE}/download", "GET"),
    ("/v1/urls", "POST"),
    (f"/v1/jobs/{FILE}", "GET"),
]
OPEN_ROUTES = [
    ("/livez", "GET"),
    ("/readyz", "GET"),
    ("/openapi.json", "GET"),
    ("/problems/not-found", "GET"),
]
LATER_ROUTES = [("/v1/uploads", "POST"), (f"/v1/uploads/{FILE}", "PATCH"), ("/v1/events", "GET")]
"""Not there yet; a preflight is answered by the list alone."""


def serve(backend: Backend, **changes: object) -> ApiServer:
    server = ApiServer(backend.settings, max_file_size=LIMIT, body_idle_timeout=0.3, **changes)

    @server.app.get("/test/crash")
    async def crash() -> None:
        raise ZeroDivisionError("a secret detail")

    @server.app.get("/test/away")
    async def away() -> None:
        raise MediaServiceError(ErrorKind.UNAVAILABLE, "storage-unavailable", "The storage is away.")

    return server


@pytest.fixture(scope="module")
def server(backend: Backend) -> Iterator[ApiServer]:
    with serve(backend, cors_origins=(PAGE, OTHER_PAGE)) as server:
        yield server


@pytest.fixture(scope="module")
def open_server(backend: Backend) -> Iterator[ApiServer]:
    """For the pages of everybody."""
    with serve(backend, cors_origins=("*",)) as server:
        yield server


@pytest.fixture(scope="module")
def closed_server(backend: Backend) -> Iterator[ApiServer]:
    with serve(backend) as server:
        yield server


def preflight(
    server: ApiServer, path: str, method: str, *, origin: str = PAGE, header: str = "authorization"
):
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}
    return server.client.options(path, headers={"Origin": origin, **asked})


def names(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


def assert_readable(answer: httpx2.Response, *, origin: str = PAGE) -> None:
    """A page of the origin is shown this answer with the headers it needs."""
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert names(answer.headers["Access-Control-Expose-Headers"]) == {
        name.lower() for name in EXPOSED_HEADERS
    }
    assert "origin" in names(answer.headers["Vary"])
    assert answer.headers.get("Access-Control-Allow-Credentials") == (None if origin == "*" else "true")
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(("path", "method"), FILE_ROUTES + OPEN_ROUTES + LATER_ROUTES)
@pytest.mark.parametrize("origin", [PAGE, OTHER_PAGE])
def test_preflight_of_a_known_page_is_granted_and_kept_for_two_hours(
    server: ApiServer, path: str, method: str, origin: str
):
    answer = preflight(server, path, method, origin=origin)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert names(answer.headers["Access-Control-Allow-Methods"]) == names(", ".join(METHODS))
    assert names(answer.headers["Access-Control-Allow-Headers"]) >= names(", ".join(ALLOWED_HEADERS))
    assert "origin" in names(answer.headers["Vary"])


@pytest.mark.parametrize("header", ALLOWED_HEADERS)
def test_every_header_of_the_contract_may_be_sent(server: ApiServer, header: str):
    assert preflight(server, "/v1/files", "POST", header=header.lower()).status_code == 200


@pytest.mark.parametrize(
    ("origin", "method", "header"),
    [
        (STRANGER, "POST", "authorization"),
        ("null", "POST", "authorization"),
        (PAGE + ".evil.org", "GET", "range"),
        (PAGE, "TRACE", "authorization"),
        (PAGE, "POST", "x-forwarded-for"),
    ],
)
def test_preflight_for_what_is_not_on_the_list_is_a_problem(
    server: ApiServer, origin: str, method: str, header: str
):
    answer = preflight(server, "/v1/files", method, origin=origin, header=header)
    assert_problem(answer, 400, "cors-refused")
    if origin != PAGE:
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_page_that_is_not_on_the_list_cannot_read_the_answer(server: ApiServer):
    answer = server.client.get("/livez", headers={"Origin": STRANGER})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "origin" in names(answer.headers["Vary"])


def test_page_uploads_with_a_token_that_it_may_hold(server: ApiServer):
    made = server.client.post("/v1/upload-tokens", headers=ADMIN, json={"max_size": 10})
    header = "authorization,content-type,idempotency-key"
    assert preflight(server, "/v1/files", "POST", header=header).status_code == 200
    headers = {
        "Origin": PAGE,
        "Authorization": f"Bearer {made.json()['token']}",
        "Content-Type": "text/plain",
    }
    for data, status in ((b"x" * 11, 413), (b"words", 201), (b"words", 403)):
        answer = server.client.post("/v1/files", headers=headers, content=data)
        assert answer.status_code == status
        assert_readable(answer)


REFUSALS = [
    ("no credentials", "GET", "/v1/files", {}, 401, "missing-credentials"),
    ("wrong credentials", "GET", "/v1/files", {"X-API-Key": "wrong"}, 401, "invalid-credentials"),
    ("no such file", "GET", f"/v1/files/{FILE}", ADMIN, 404, "not-found"),
    ("no such address", "GET", "/nowhere", {}, 404, "not-found"),
    ("no such method", "PUT", "/livez", {}, 405, "method-not-allowed"),
    ("too large by its length", "POST", "/v1/files", ADMIN, 413, "file-too-large"),
    ("target too long", "GET", "/livez?" + "x" * 17_000, {}, 414, "uri-too-long"),
    ("a coding", "POST", "/v1/files", {"Content-Encoding": "gzip"}, 415, "unsupported-content-encoding"),
    ("wrong value", "GET", "/v1/files/x", ADMIN, 422, "invalid-request"),
    ("too many headers", "GET", "/livez", {f"X-{n}": "x" for n in range(120)}, 431, "headers-too-large"),
    ("a defect", "GET", "/test/crash", {}, 500, "internal-error"),
    ("a dependency is away", "GET", "/test/away", {}, 503, "storage-unavailable"),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
@pytest.mark.parametrize("allowed", ["this page", "*"])
def test_page_can_read_every_refusal(
    server: ApiServer,
    open_server: ApiServer,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    code: str,
    allowed: str,
):
    asked = open_server if allowed == "*" else server
    content = bytes(LIMIT + 1) if method == "POST" else None
    answer = asked.client.request(method, path, headers={**headers, "Origin": PAGE}, content=content)
    assert_problem(answer, status, code)
    assert_readable(answer, origin="*" if allowed == "*" else PAGE)


@pytest.mark.parametrize(("sent_bytes", "status"), [(LIMIT + 1, 413), (10, 408)])
def test_page_can_read_a_refusal_in_the_middle_of_its_body(server: ApiServer, sent_bytes: int, status: int):
    with RawConnection(server.port) as client:
        client.send_head("POST", "/v1/files", {**ADMIN, "Origin": PAGE, "Transfer-Encoding": "chunked"})
        client.send_chunk(bytes(sent_bytes))
        answer = client.answer()
        assert answer.status == status
        assert answer.getheader("Access-Control-Allow-Origin") == PAGE
        assert answer.getheader("Access-Control-Expose-Headers")
        assert answer.getheader("Connection") == "close"


def test_page_can_read_an_upload_its_bytes_and_what_has_not_changed(
    server: ApiServer, clean_backend: Backend
):
    as_page = {**ADMIN, "Origin": PAGE}
    posted = server.client.post("/v1/files", headers=as_page, content=b"some words")
    assert posted.status_code == 201
    assert_readable(posted)
    path = f"/v1/files/{posted.json()['items'][0]['id']}/content"
    whole = server.client.get(path, headers=as_page)
    part = server.client.get(path, headers={**as_page, "Range": "bytes=0-3"})
    same = server.client.get(path, headers={**as_page, "If-None-Match": whole.headers["ETag"]})
    assert [whole.status_code, part.status_code, same.status_code] == [200, 206, 304]
    for answer in (whole, part, same):
        assert_readable(answer)


def test_discovery_of_tus_is_no_preflight(server: ApiServer):
    # It comes with an Origin from a page, and asks for no method: the route has to answer it.
    answer = server.client.options("/livez", headers={"Origin": PAGE})
    assert_problem(answer, 405, "method-not-allowed")
    assert_readable(answer)


def test_pages_of_everybody_get_no_credentials(open_server: ApiServer):
    answer = preflight(open_server, "/v1/files", "POST", origin=STRANGER)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/livez", "/v1/files", "/nowhere"])
def test_without_the_setting_no_header_of_cors_is_sent(closed_server: ApiServer, path: str):
    for answer in (
        preflight(closed_server, path, "GET"),
        closed_server.client.get(path, headers={"Origin": PAGE}),
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_refusal_of_the_parser_is_no_answer_to_a_request_and_has_no_header_of_cors(server: ApiServer):
    # As it says in `web/cors.py`; no browser sends a request that ends here.
    with RawConnection(server.port) as client:
        client.send(f"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\nOrigin: {PAGE}\r\n\r\n".encode())
        answer = client.answer()
        assert answer.status == 400
        assert answer.getheader("Access-Control-Allow-Origin") is None
