"""Started services, as a user starts them: nothing in these tests runs inside the test process."""

from collections.abc import Iterator

import pytest

from tests.support.started import BYTECODE, Configuration, FreshService, embedded, scaled_out

MAX_FILE_BYTES = 16 * 1024 * 1024


@pytest.fixture(scope="session")
def max_file_bytes() -> int:
    """The limit of the services below: small enough to go over it, large enough to have many parts."""
    return MAX_FILE_BYTES


@pytest.fixture(scope="module", params=["embedded", "postgresql-s3"])
def configuration(request: pytest.FixtureRequest) -> Iterator[Configuration]:
    """The same service twice: on one machine's defaults, and on the servers of a larger one."""
    settings = {"MEDIA_MAX_FILE_SIZE": str(MAX_FILE_BYTES)}
    if request.param == "embedded":
        with embedded(settings) as started:
            yield started
        return
    postgres, valkey = request.getfixturevalue("postgres"), request.getfixturevalue("valkey")
    with scaled_out(
        settings, postgres=postgres, valkey=valkey, s3=request.getfixturevalue("s3_server")
    ) as started:
        yield started


@pytest.fixture(scope="session")
def fresh_service() -> Iterator[FreshService]:
    """The service as it comes, with no setting but its place. `test_supervision` stops it at its end."""
    with FreshService(env=BYTECODE) as service:
        yield service
