"""What a browser makes of the service's headers: pages of other origins, and the service's own pages."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import pytest

from media_service.tables import File
from tests.support import browser
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.debian import make_available

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),  # the packages may have to be installed first
    pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True),
]

LIMIT = 8 * 10**6

PAGE = b"""<!doctype html><meta charset="utf-8"><pre id="seen">no answer</pre><script>
const wanted = new URLSearchParams(location.search);
const headers = wanted.has("key") ? {Authorization: wanted.get("key")} : {};
const body = new Blob(["GIF89a", new Uint8Array(Number(wanted.get("bytes")))]);
const options = {method: wanted.get("method"), headers, body: wanted.get("method") === "POST" ? body : null};
fetch(wanted.get("url"), options)
  .then(async answer => [answer, (await answer.json()).code])
  .then(([answer, code]) => [answer.status, code, answer.headers.has("X-Request-ID")].join(" "))
  .catch(error => "no answer")
  .then(text => { document.getElementById("seen").textContent = text; });
</script>"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def page_of_an_own_origin() -> Iterator[str]:
    """Its URL; another port is another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    with page_of_an_own_origin() as url:
        yield url


@pytest.fixture(scope="module")
def server(backend: Backend, page_url: str) -> Iterator[ApiServer]:
    if missing := make_available(browser.PACKAGES, browser.PROGRAMS):
        pytest.skip(f"missing: {', '.join(missing)}; on Debian: apt-get install {browser.PACKAGES[0]}")
    server = ApiServer(
        backend.settings, max_file_size=LIMIT, allowed_types="image/gif", cors_origins=(page_url,)
    )

    @server.app.get("/test/crash")
    async def crash() -> None:
        raise ZeroDivisionError

    with server:
        yield server


def seen(page_url: str, url: str, **wanted: str) -> str:
    """Status, code, and whether the request's id can be read, as the page was told."""
    query = urlencode({"url": url, "method": "POST", "bytes": "1000", **wanted})
    found = re.search(r'<pre id="seen">(.*?)</pre>', browser.dump_dom(f"{page_url}/?{query}"))
    assert found is not None
    return found.group(1)


KEY = {"key": ADMIN["Authorization"]}

ANSWERS = [
    ("an upload", "/v1/files", KEY, "201  true"),
    ("a file over the limit", "/v1/files", {**KEY, "bytes": str(4 * LIMIT)}, "413 file-too-large true"),
    ("no credentials", "/v1/files", {}, "401 missing-credentials true"),
    ("nothing there", "/v1/nowhere", KEY, "404 not-found true"),
    ("a method that is not there", "/v1/files", {**KEY, "method": "DELETE"}, "405 method-not-allowed true"),
    ("a defect", "/test/crash", {**KEY, "method": "GET"}, "500 internal-error true"),
]


@pytest.mark.parametrize(("name", "path", "wanted", "expected"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_page_of_another_origin_can_upload_and_read_every_refusal(
    server: ApiServer,
    clean_backend: Backend,
    page_url: str,
    name: str,
    path: str,
    wanted: dict[str, str],
    expected: str,
):
    assert seen(page_url, server.base_url + path, **wanted) == expected
    assert len(clean_backend.rows(File)) == int(expected.startswith("201"))


def test_page_of_an_unknown_origin_is_told_nothing_and_uploads_nothing(
    server: ApiServer, clean_backend: Backend
):
    with page_of_an_own_origin() as stranger:
        assert seen(stranger, f"{server.base_url}/v1/files", **KEY) == "no answer"
    assert clean_backend.leftovers() == {}


FOREIGN_LOGO = "'https://cdn.redoc.ly/redoc/logo-mini.svg'"
"""ReDoc would load it from its makers; that the policy does not let it is on purpose."""


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/docs", ["Upload Files", "opblock-summary-post", "/v1/files"]),
        ("/redoc", ["Upload one or several files", "menu-content", "/v1/files"]),
        ("/problems/file-too-large", ["File too large"]),
        ("/problems", ["/problems/not-found"]),
    ],
)
def test_page_of_the_service_works_under_its_own_policy(
    server: ApiServer, clean_backend: Backend, path: str, shown: list[str]
):
    seen = browser.visit(server.base_url + path)
    assert [text for text in shown if text not in seen.document] == []
    kept_out = [line for line in seen.console if "Content Security Policy" in line]
    assert [line for line in kept_out if FOREIGN_LOGO not in line] == []
