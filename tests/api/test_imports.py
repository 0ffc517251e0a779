"""`POST /v1/files/import`: a job, or a refusal. The fetching is tested where it is done (`tests/jobs`)."""

from collections.abc import Iterator

import pytest

from media_service.tables import Job
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem


@pytest.fixture(scope="session")
def importing_api_server(backend: Backend) -> Iterator[ApiServer]:
    with ApiServer(backend.settings, import_enabled=True) as server:
        yield server


@pytest.fixture
def importing(importing_api_server: ApiServer, server: ApiServer) -> ApiServer:
    return importing_api_server


def test_import_is_off_unless_it_is_switched_on(server: ApiServer, owner: Owner, clean_backend: Backend):
    answer = server.client.post(
        "/v1/files/import", headers=owner.headers, json={"url": "https://example.org/a"}
    )
    assert_problem(answer, 403, "imports-disabled")
    assert clean_backend.rows(Job) == []


def test_import_is_a_job_of_the_callers(importing: ApiServer, owner: Owner, clean_backend: Backend):
    wanted = {"url": "https://example.org/a.jpg?token=secret", "tags": ["x"], "visibility": "public"}
    answer = importing.client.post("/v1/files/import", headers=owner.headers, json=wanted)
    assert answer.status_code == 202
    [row] = clean_backend.rows(Job)
    job = answer.json()
    assert (job["id"], job["kind"], job["status"]) == (str(row.id), "import_file", "queued")
    assert "secret" not in answer.text
    assert row.owner_id == owner.id
    assert row.payload == {**wanted, "filename": None, "sha256": None, "custom": {}}
    described = importing.client.get(f"/v1/jobs/{row.id}", headers=owner.headers)
    assert "secret" not in described.text


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_import_is_no_file_whose_id_is_import(server: ApiServer, owner: Owner, method: str):
    answer = server.client.request(method, "/v1/files/import", headers=owner.headers)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://u:secret@example.org/", "https://a:22/", "x"])
def test_url_that_cannot_be_imported_is_refused_at_once(
    importing: ApiServer, owner: Owner, clean_backend: Backend, url: str
):
    answer = importing.client.post("/v1/files/import", headers=owner.headers, json={"url": url})
    assert_problem(answer, 422, "import-url-refused")
    assert "secret" not in answer.text
    assert clean_backend.rows(Job) == []
