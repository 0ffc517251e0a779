"""`/livez` and `/readyz`: what is required, what is not, and that a probe is quick."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from media_service.main import create_app
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.postgres import PostgresServer
from tests.support.problems import assert_problem
from tests.support.storages import RaisingStorage
from tests.support.valkey import ValkeyServer


def checks(answer: Any) -> tuple[int, dict[str, str]]:
    return answer.status_code, answer.json()["checks"]


def test_living_process_says_so(server: ApiServer):
    answer = server.client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_process_names_each_dependency(server: ApiServer):
    answer = server.client.get("/readyz")
    assert answer.json()["status"] == "ok"
    assert checks(answer) == (200, {"database": "ok", "storage": "ok", "redis": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


def test_probes_need_no_credentials_and_ignore_wrong_ones(server: ApiServer):
    for path in ("/livez", "/readyz"):
        assert server.client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 200


def test_dead_storage_makes_the_process_unready(server: ApiServer):
    with server.storage_wrapped(lambda real: RaisingStorage(real, "check", error=OSError("secret place"))):
        answer = server.client.get("/readyz")
    assert answer.json()["status"] == "unavailable"
    assert checks(answer) == (503, {"database": "ok", "storage": "unavailable", "redis": "ok"})
    assert "secret" not in answer.text


@pytest.fixture
def lonely_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as valkey:
        yield valkey


def test_dead_redis_is_shown_but_uploads_are_taken_all_the_same(
    clean_backend: Backend, lonely_valkey: ValkeyServer
):
    app = create_app(clean_backend.settings(redis_url=lonely_valkey.url))
    with TestClient(app) as client:
        assert checks(client.get("/readyz"))[1]["redis"] == "ok"
        lonely_valkey.kill()
        answer = client.get("/readyz")
        assert checks(answer) == (200, {"database": "ok", "storage": "ok", "redis": "unavailable"})
        assert client.post("/v1/files", headers=ADMIN, content=b"x").status_code == 201
        lonely_valkey.start()
        assert checks(client.get("/readyz"))[1]["redis"] == "ok"


def test_dead_database_makes_the_process_unready_and_answers_503(
    clean_backend: Backend, postgres: PostgresServer, postgres_template: str
):
    url = postgres.create_database(template=postgres_template)
    with TestClient(create_app(clean_backend.settings(database_url=url))) as client:
        assert client.get("/readyz").status_code == 200
        postgres.drop_database(make_url(url).database or "")
        assert checks(client.get("/readyz")) == (
            503,
            {"database": "unavailable", "storage": "ok", "redis": "ok"},
        )
        answer = client.get("/v1/files", headers=ADMIN)
        assert_problem(answer, 503, "database-unavailable")
        assert answer.headers["Retry-After"]
        assert client.get("/livez").status_code == 200


def test_cut_database_connections_are_made_anew(
    clean_backend: Backend, postgres: PostgresServer, postgres_template: str
):
    url = postgres.create_database(template=postgres_template)
    with TestClient(create_app(clean_backend.settings(database_url=url))) as client:
        assert client.get("/v1/files", headers=ADMIN).status_code == 200
        postgres.terminate_connections(make_url(url).database or "")
        assert client.get("/v1/files", headers=ADMIN).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/v1/files", "/problems"])
def test_head_has_the_headers_of_get_and_no_body(server: ApiServer, path: str):
    got, head = (server.client.request(method, path, headers=ADMIN) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == got.headers[name]
