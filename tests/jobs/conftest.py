"""Files and jobs as rows, and tools to run them, over each backend."""

import pytest

from tests.support.backends import Backend, Owner


@pytest.fixture
def owner(clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()
