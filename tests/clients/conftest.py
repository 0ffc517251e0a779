"""Clients of others. Collected where they are installed: `make test-clients` does that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner

FOLDER = Path(__file__).parent

collect_ignore_glob = [] if (FOLDER / "node_modules").is_dir() else ["test_*.py"]


@pytest.fixture(scope="session")
def client_server(backend: Backend) -> Iterator[ApiServer]:
    with ApiServer(backend.settings) as server:
        yield server


@pytest.fixture
def server(client_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return client_server


@pytest.fixture
def owner(clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()
