"""Refusals in the middle of a body, as the page of a browser sees them."""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from fastapi.responses import HTMLResponse

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

MEGABYTE = 10**6
LIMIT = 24 * MEGABYTE

PAGE = """<!doctype html><meta charset="utf-8"><pre id="seen">no answer</pre><script>
const wanted = new URLSearchParams(location.search);
const file = new Blob([wanted.get("head"), new Uint8Array(Number(wanted.get("bytes")))]);
let body = file;
if (wanted.has("form")) {
  body = new FormData();
  body.append("sha256", wanted.get("sha256") || "");
  body.append("file", file, "a.bin");
}
const headers = wanted.has("key") ? {Authorization: wanted.get("key")} : {};
fetch("/v1/files", {method: "POST", headers, body})
  .then(async answer => answer.status + " " + (await answer.json()).code, error => "no answer: " + error)
  .then(text => { document.getElementById("seen").textContent = text; });
</script>"""
"""From the same origin as the service; pages of others are in `test_browser_edges.py`."""


@pytest.fixture(scope="module")
def server(backend: Backend) -> Iterator[ApiServer]:
    if missing := make_available(browser.PACKAGES, browser.PROGRAMS):
        pytest.skip(f"missing: {', '.join(missing)}; on Debian: apt-get install {browser.PACKAGES[0]}")
    changes = {"max_file_size": LIMIT, "allowed_types": "image/gif"}
    server = ApiServer(backend.settings, **changes)

    @server.app.get("/test/page")
    async def page() -> HTMLResponse:
        # Else the policy of the API would let it run nothing.
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"})

    with server:
        yield server


def seen(server: ApiServer, **wanted: str) -> str:
    """Status and code that the page was given."""
    query = urlencode({"bytes": str(20 * MEGABYTE), "head": "GIF89a", **wanted})
    found = re.search(r'<pre id="seen">(.*?)</pre>', browser.dump_dom(f"{server.base_url}/test/page?{query}"))
    assert found is not None
    return found.group(1)


KEY = {"key": ADMIN["Authorization"]}

REFUSALS = [
    ("a file over the limit", {**KEY, "bytes": str(50 * MEGABYTE)}, "413 file-too-large"),
    ("a form over the limit", {**KEY, "bytes": str(50 * MEGABYTE), "form": "1"}, "413 file-too-large"),
    ("a file beyond what is drained", {**KEY, "bytes": str(200 * MEGABYTE)}, "413 file-too-large"),
    ("a type that is not taken", {**KEY, "head": "%PDF-1.7"}, "415 unsupported-media-type"),
    ("no credentials", {}, "401 missing-credentials"),
    ("a wrong digest", {**KEY, "form": "1", "sha256": "0" * 64}, "422 digest-mismatch"),
    ("nothing wrong", KEY, "201 undefined"),
]


@pytest.mark.parametrize(("name", "wanted", "expected"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_page_of_a_browser_is_told_the_status_and_the_problem(
    server: ApiServer, clean_backend: Backend, name: str, wanted: dict[str, str], expected: str
):
    assert seen(server, **wanted) == expected
    assert len(clean_backend.rows(File)) == int(expected.startswith("201"))
    assert expected.startswith("201") or clean_backend.leftovers() == {}
