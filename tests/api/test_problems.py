"""Errors of the framework, request ids and the pages behind problem types; simple enough for a TestClient."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from media_service.main import create_app
from media_service.web.problem_catalogue import CATALOGUE
from tests.support.backends import ADMIN, Backend
from tests.support.problems import assert_problem


@pytest.fixture(scope="module")
def app(backend: Backend) -> FastAPI:
    app = create_app(backend.settings(database_url=backend.new_database()))

    @app.get("/test/crash")
    async def crash() -> None:
        raise ZeroDivisionError("a secret detail")

    return app


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    # The API answers a defect itself, so nothing may reach the client as an exception.
    with TestClient(app, raise_server_exceptions=True) as client:
        yield client


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/files/", "/v2/files", "/v1/files/x/y/z", "/docs/x"])
def test_unknown_address_is_a_404_problem(client: TestClient, path: str):
    answer = client.get(path, headers=ADMIN, follow_redirects=False)
    assert answer.status_code in {404, 307}
    if answer.status_code == 404:
        assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/files", {"GET", "HEAD", "POST"}),
        ("PUT", "/v1/urls", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
    ],
)
def test_wrong_method_is_a_405_problem_that_says_what_is_allowed(
    client: TestClient, method: str, path: str, allow: set[str]
):
    answer = client.request(method, path, headers=ADMIN)
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allow


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"[1,", b"\xff\xfe"])
def test_malformed_json_is_a_400_problem(client: TestClient, body: bytes):
    answer = client.post("/v1/urls", headers={**ADMIN, "Content-Type": "application/json"}, content=body)
    assert answer.status_code == 400
    assert_problem(answer, 400, answer.json()["code"])
    assert answer.json()["code"] in {"malformed-json", "bad-request"}


def test_json_that_is_nested_beyond_all_is_a_problem_and_no_500(client: TestClient):
    body = b'{"items":' + b"[" * 100_000
    answer = client.post("/v1/urls", headers={**ADMIN, "Content-Type": "application/json"}, content=body)
    assert_problem(answer, 400, answer.json()["code"])


def test_wrong_values_are_a_422_that_points_at_each(client: TestClient):
    answer = client.post(
        "/v1/urls", headers=ADMIN, json={"items": [{"file_id": "x"}], "expires_in": -1, "more": 1}
    )
    problem = assert_problem(answer, 422, "invalid-request")
    assert {error["pointer"] for error in problem["errors"]} == {
        "/body/items/0/file_id",
        "/body/expires_in",
        "/body/more",
    }


def test_validation_error_does_not_repeat_what_was_sent(client: TestClient):
    answer = client.post("/v1/urls", headers=ADMIN, json={"items": "a-secret-in-the-wrong-place"})
    assert "a-secret" not in answer.text


def test_defect_is_a_500_problem_without_details(client: TestClient):
    answer = client.get("/test/crash")
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text


@pytest.mark.parametrize("given", ["abcdefgh", "7f3a-b.C_9" * 4, "x" * 64])
def test_well_formed_request_id_is_taken(client: TestClient, given: str):
    assert client.get("/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "new\tline12", "<script>alert"])
def test_ill_formed_request_id_is_replaced(client: TestClient, given: str):
    answered = client.get("/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f-]{36}", answered)


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/v1/files", "/docs", "/test/crash"])
def test_every_answer_has_a_request_id(client: TestClient, path: str):
    assert client.get(path).headers["X-Request-ID"]


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_problem_type_leads_to_a_page_that_explains_it(client: TestClient, code: str):
    answer = client.get(f"/problems/{code}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert code in answer.text


def test_list_of_problems_names_them_all(client: TestClient):
    page = client.get("/problems").text
    assert set(re.findall(r'href="/problems/([^"]+)"', page)) == set(CATALOGUE)


def test_unknown_problem_is_a_404(client: TestClient):
    assert_problem(client.get("/problems/<script>"), 404, "not-found")
