"""A running API over each backend, emptied for every test, and people who use it."""

from collections.abc import Iterator

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner


@pytest.fixture
def server(api_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return api_server


@pytest.fixture
def owner(server: ApiServer, clean_backend: Backend) -> Owner:
    """A user with all the scopes that files and jobs know."""
    return clean_backend.add_owner()


@pytest.fixture
def stranger(server: ApiServer, clean_backend: Backend) -> Owner:
    """Another user with the same scopes."""
    return clean_backend.add_owner()


@pytest.fixture(scope="session")
def open_api_server(backend: Backend) -> Iterator[ApiServer]:
    """The API where strangers may register."""
    with ApiServer(backend.settings, allow_registration=True) as server:
        yield server


@pytest.fixture
def open_server(open_api_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return open_api_server
