"""`/livez` and `/readyz`: what is required, what is not, and that a probe is quick."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from media_service.jobs.presence import enter
from media_service.main import create_app
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.postgres import PostgresServer
from tests.support.problems import assert_problem
from tests.support.storages import RaisingStorage
from tests.support.valkey import ValkeyServer

HOST = "a-host-that-nobody-must-see"
NOBODY_WORKS = {"workers": "unavailable", "sandbox": "unavailable"}
"""The tests of the API run no worker."""


def add_worker(backend: Backend, *missing: str, lease: timedelta = timedelta(minutes=1)) -> None:
    with backend.database.transaction() as session:
        session.execute(enter(uuid4(), host=HOST, missing_layers=missing, lease=lease))


def checks(answer: Any) -> tuple[int, dict[str, str]]:
    return answer.status_code, answer.json()["checks"]


def test_living_process_says_so(server: ApiServer):
    answer = server.client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_process_names_each_dependency(server: ApiServer):
    answer = server.client.get("/readyz")
    assert answer.json()["status"] == "ok"
    assert checks(answer) == (200, {"database": "ok", "storage": "ok", "redis": "ok", **NOBODY_WORKS})
    assert answer.headers["Cache-Control"] == "no-store"


def test_probes_need_no_credentials_and_ignore_wrong_ones(server: ApiServer):
    for path in ("/livez", "/readyz"):
        assert server.client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 200


def test_dead_storage_makes_the_process_unready(server: ApiServer):
    with server.storage_wrapped(lambda real: RaisingStorage(real, "check", error=OSError("secret place"))):
        answer = server.client.get("/readyz")
    assert answer.json()["status"] == "unavailable"
    assert checks(answer) == (
        503,
        {"database": "ok", "storage": "unavailable", "redis": "ok", **NOBODY_WORKS},
    )
    assert "secret" not in answer.text


def test_living_worker_with_a_whole_sandbox_is_ok(server: ApiServer, clean_backend: Backend):
    add_worker(clean_backend)
    answer = server.client.get("/readyz").json()
    assert (answer["checks"]["workers"], answer["checks"]["sandbox"]) == ("ok", "ok")
    assert answer["missing_layers"] == []


def test_walls_that_a_living_worker_lacks_are_named_and_the_process_stays_ready(
    server: ApiServer, clean_backend: Backend
):
    add_worker(clean_backend)
    add_worker(clean_backend, "landlock_tcp", "landlock_scope")
    add_worker(clean_backend, "landlock_scope")
    answer = server.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["checks"]["workers"] == "ok"
    assert answer.json()["checks"]["sandbox"] == "degraded"
    assert answer.json()["missing_layers"] == ["landlock_scope", "landlock_tcp"]
    assert HOST not in answer.text


def test_dead_worker_counts_for_nothing(server: ApiServer, clean_backend: Backend):
    add_worker(clean_backend, "seccomp", lease=timedelta(seconds=-1))
    answer = server.client.get("/readyz")
    assert answer.json()["status"] == "ok"
    assert answer.json()["checks"].items() >= NOBODY_WORKS.items()
    assert answer.json()["missing_layers"] == []


def test_look_at_workers_that_hangs_costs_the_probe_its_budget_and_no_more(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(server.app.state._state, "missing_layers", lambda: asyncio.sleep(30))
    began = time.monotonic()
    answer = server.client.get("/readyz")
    assert time.monotonic() - began < 2
    assert checks(answer) == (200, {"database": "ok", "storage": "ok", "redis": "ok", **NOBODY_WORKS})


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
        assert checks(answer) == (
            200,
            {"database": "ok", "storage": "ok", "redis": "unavailable", **NOBODY_WORKS},
        )
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
            {"database": "unavailable", "storage": "ok", "redis": "ok", **NOBODY_WORKS},
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
