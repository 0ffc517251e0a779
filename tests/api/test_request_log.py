"""The canonical log line says which route was asked for, and by whom."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.support.accounts import log_in, make_account, make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import Backend
from tests.support.logs import lines_of, written_log

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)


def line_of(backend: Backend, ask: Callable[[ApiServer], httpx2.Response]) -> dict[str, Any]:
    """The line of the last request that was made."""
    with written_log() as log, ApiServer(backend.settings) as server:
        request_id = ask(server).headers["X-Request-ID"]
    found = (line for line in lines_of(log) if line["event"] == "request.finished")
    (line,) = (line for line in found if line["request_id"] == request_id)
    return line


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/files", "/v1/files"),
        ("/v1/files/{id}", "/v1/files/{file_id}"),
        ("/v1/files/{id}/content", "/v1/files/{file_id}/content"),
        ("/v1/files/{id}/url", "/v1/files/{file_id}/url"),
        ("/v1/nothing", None),
    ],
)
def test_line_names_the_route_and_the_method_that_was_sent(
    clean_backend: Backend, method: str, path: str, route: str | None
):
    owner = clean_backend.add_owner()

    def ask(server: ApiServer) -> httpx2.Response:
        asked = path.replace("{id}", "019a0000-0000-7000-8000-000000000000")
        return server.client.request(method, asked, headers=owner.headers)

    line = line_of(clean_backend, ask)
    assert (line["method"], line["route"]) == (method, route)


def test_line_of_an_upload_names_its_route_and_the_owner(clean_backend: Backend):
    owner = clean_backend.add_owner()
    line = line_of(
        clean_backend, lambda server: server.client.post("/v1/files", headers=owner.headers, content=b"some")
    )
    assert (line["route"], line["status"], line["owner_id"]) == ("/v1/files", 201, str(owner.id))


def test_line_names_the_caller_by_ids(clean_backend: Backend):
    made: dict[str, str] = {}

    def ask_by_login(server: ApiServer) -> httpx2.Response:
        account = make_account(server)
        login = log_in(server, account)
        shown, headers = make_upload_token(server, login.headers)
        made.update(owner_id=account.id, credential_id=shown["id"])
        return server.client.post("/v1/files", headers=headers, content=b"some")

    line = line_of(clean_backend, ask_by_login)
    assert {name: line[name] for name in made} == made


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}])
def test_line_without_a_good_credential_names_nobody(clean_backend: Backend, headers: dict[str, str]):
    line = line_of(clean_backend, lambda server: server.client.get("/v1/files", headers=headers))
    assert line["status"] == 401
    assert not {"owner_id", "credential_id"} & line.keys()
