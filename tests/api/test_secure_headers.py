"""The headers that protect each class of route, on answers of every kind."""

import base64
import hashlib
import re
from collections.abc import Iterator

import pytest

from media_service.web.header_policies import API
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.raw_http import exchange

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

API_POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture(scope="module")
def https_server(backend: Backend) -> Iterator[ApiServer]:
    with ApiServer(backend.settings, public_url="https://media.example.org") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/x", 422),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/livez", 405),
        ("GET", "/v1/files/019abc12-3456-7def-8123-456789abcdef/content", 404),
        ("GET", "/livez?" + "x" * 17_000, 414),
    ],
)
def test_answer_of_the_api_can_neither_run_nor_be_framed_nor_be_kept(
    server: ApiServer, method: str, path: str, status: int
):
    answer = server.client.request(method, path, headers=ADMIN)
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == API_POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers


def test_refusal_of_the_parser_has_the_headers_of_the_api(server: ApiServer):
    [answer] = exchange(server.port, [b"GET /livez HTTP/1.1\r\n\r\n"])
    assert answer.status == 400
    for name, value in API.items():
        assert answer.headers[name.lower()] == value
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_page_of_documentation_runs_its_own_scripts_and_no_other(server: ApiServer, path: str):
    page = server.client.get(path)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    inline = [
        script
        for script in re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.DOTALL)
        if script.strip()
    ]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    assert policy["script-src"].split() == ["'self'", *(f"'sha256-{digest}'" for digest in hashes)]
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert page.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/problems", "/problems/not-found"])
def test_page_of_a_problem_may_load_nothing(server: ApiServer, path: str):
    page = server.client.get(path)
    assert page.headers["Content-Security-Policy"].startswith(API_POLICY)
    assert page.headers["Cache-Control"] == "no-cache"
    assert "<script" not in page.text
    assert "style" not in page.text


def test_asset_is_checked_before_it_is_used_again_and_is_for_our_pages_only(server: ApiServer):
    path = "/static-offline-docs/swagger-ui.css"
    asset = server.client.get(path)
    assert asset.status_code == 200
    assert asset.headers["Cache-Control"] == "no-cache"
    assert asset.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    again = server.client.get(path, headers={"If-None-Match": asset.headers["ETag"]})
    assert again.status_code == 304


def test_content_of_users_keeps_its_own_stricter_headers(server: ApiServer):
    posted = server.client.post("/v1/files", headers=ADMIN, content=b"<script>alert(1)</script>")
    path = f"/v1/files/{posted.json()['items'][0]['id']}/content"
    content = server.client.get(path, headers=ADMIN)
    assert content.headers.get_list("Content-Security-Policy") == ["sandbox; default-src 'none'"]
    assert content.headers.get_list("Cache-Control") == ["private, no-cache"]
    assert content.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    # What a 304 says replaces what the cache holds: it must not take the sandbox away.
    same = server.client.get(path, headers={**ADMIN, "If-None-Match": content.headers["ETag"]})
    assert same.status_code == 304
    assert "Content-Security-Policy" not in same.headers


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/docs", "/problems"])
def test_https_is_demanded_only_where_clients_come_by_it(
    server: ApiServer, https_server: ApiServer, path: str
):
    assert "Strict-Transport-Security" not in server.client.get(path).headers
    assert https_server.client.get(path).headers["Strict-Transport-Security"] == "max-age=31536000"
