"""Who the client is, in the canonical log line, behind a proxy and without one."""

from typing import Any

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.logs import lines_of, written_log

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

TOLD = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7", "X-Forwarded-Host": "evil.example"}


def client_of_an_upload(backend: Backend, **changes: Any) -> str:
    """The client that the log names."""
    with written_log() as log, ApiServer(backend.settings, **changes) as server:
        answer = server.client.post("/v1/files", headers={**ADMIN, **TOLD}, content=b"some words")
        assert answer.headers["Location"].startswith(f"{server.base_url}/")
        assert "evil" not in answer.text
    (line,) = (line for line in lines_of(log) if line["event"] == "request.finished")
    return str(line["client"])


def test_client_behind_a_trusted_proxy_is_logged_and_its_host_is_not_believed(clean_backend: Backend):
    assert client_of_an_upload(clean_backend, trusted_proxies="127.0.0.0/8, fd00::1") == "203.0.113.7"


@pytest.mark.parametrize("changes", [{}, {"trusted_proxies": "10.0.0.0/8"}])
def test_client_without_a_trusted_proxy_is_who_connects(clean_backend: Backend, changes: dict[str, str]):
    assert client_of_an_upload(clean_backend, **changes) == "127.0.0.1"
