"""What all suites share: real servers, started when the first test asks for them and once per run.

Nothing of the environment of whoever runs the tests takes part: settings are made explicitly, and the
variables that libraries read for themselves are replaced.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from media_service.backends import create_storage
from media_service.blocking_database import Database
from media_service.migrations import upgrade
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN_KEY, Backend, delete_everything, make_settings
from tests.support.moto_server import ENVIRONMENT, moto_server
from tests.support.postgres import PostgresServer
from tests.support.s3_server import S3Server
from tests.support.valkey import ValkeyServer
from tests.support.workshop import Workshop
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.sandbox import Sandbox

pytest_plugins = ["tests.support.no_skips", "tests.support.fault_table", "tests.support.log_watch"]

TEMPLATE = "template_migrated"
FOREIGN_PREFIXES = ("MEDIA_", "AWS_", "PG", "CELERY_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--swift", action="store_true", help="the storage contract on OpenStack Swift alone (make test-s3)"
    )


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    # A folder of temporary files for this run alone: the sweeper looks for what processes left behind there.
    # Right under /tmp, since paths of sockets must stay short.
    with (
        tempfile.TemporaryDirectory(prefix="media-", dir="/tmp") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        for name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES)]:
            patch.delenv(name)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """The name of a database that was migrated once; the others are copies of it."""
    upgrade(postgres.create_database(name=TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that was migrated once; the others are copies of it."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


def forget_everything(server: S3Server) -> None:
    """Empty the bucket in two requests; to delete object by object would take most of a test's time."""
    address = urlsplit(server.endpoint_url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{server.bucket}")):
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
    finally:
        connection.close()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=SandboxLimits(), image_limits=ImageLimits()) as started:
        yield started


@pytest.fixture(scope="session", params=["sqlite-local", "postgres-s3"])
def backend(request: pytest.FixtureRequest, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory):
    """A migrated database and a storage, kept for all tests; `clean_backend` empties it for each."""
    data_dir = tmp_path_factory.mktemp("data")
    values = {"redis_url": valkey.url, "admin_api_key": ADMIN_KEY, "data_dir": data_dir}
    if request.param == "sqlite-local":
        template: Path = request.getfixturevalue("sqlite_template")

        def new_database() -> str:
            copy = tmp_path_factory.mktemp("database") / "media.db"
            return f"sqlite:///{shutil.copyfile(template, copy)}"

        values |= {"storage": "local"}
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        s3: S3Server = request.getfixturevalue("s3_server")
        name: str = request.getfixturevalue("postgres_template")

        def new_database() -> str:
            return server.create_database(template=name)

        values |= {
            "storage": "s3",
            "s3_bucket": s3.bucket,
            "s3_endpoint_url": s3.endpoint_url,
            "s3_addressing_style": "path",
            "s3_part_size_bytes": 5 * 1024 * 1024,
        }
    values["database_url"] = new_database()
    settings = make_settings(values)
    database = Database(settings.effective_database_url, pool_size=12)
    storage = create_storage(settings.storage, s3=settings, data_dir=data_dir)

    def empty_storage() -> None:
        if settings.storage == "s3":
            forget_everything(request.getfixturevalue("s3_server"))
        else:
            delete_everything(storage)

    yield Backend(request.param, values, database, storage, new_database, empty_storage)
    database.close()
    if hasattr(storage, "close"):
        storage.close()


@pytest.fixture
def clean_backend(backend: Backend) -> Iterator[Backend]:
    """The backend, empty; and emptied again, however the test ends."""
    yield backend
    backend.clear()


@pytest.fixture
def workshop(clean_backend: Backend, sandbox: Sandbox, tmp_path: Path) -> Workshop:
    return Workshop(clean_backend, sandbox, tmp_path, lease=timedelta(seconds=15))


@pytest.fixture(scope="session")
def api_server(backend: Backend) -> Iterator[ApiServer]:
    """The API over the backend, for all tests that need no settings of their own."""
    with ApiServer(backend.settings) as server:
        yield server
