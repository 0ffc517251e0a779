"""One storage of each kind, real where it matters: S3 is moto's HTTP server in another process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from media_service.aws.client import create_s3_storage
from media_service.aws.config import S3Settings
from media_service.aws.storage import S3Storage
from media_service.storage.local import LocalStorage
from media_service.storage.memory import MemoryStorage
from media_service.storage.port import Storage
from tests.support.moto_server import ENVIRONMENT, MotoServer, moto_server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[MotoServer]:
    with pytest.MonkeyPatch.context() as patch, moto_server() as server:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def s3_settings(s3_server: MotoServer) -> S3Settings:
    return S3Settings(
        s3_bucket=s3_server.bucket, s3_endpoint_url=s3_server.endpoint_url, s3_addressing_style="path"
    )


@pytest.fixture(scope="session")
def s3_storage(s3_settings: S3Settings) -> Iterator[S3Storage]:
    storage = create_s3_storage(s3_settings)
    yield storage
    storage.close()


@pytest.fixture(params=["memory", "local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        s3: S3Storage = request.getfixturevalue("s3_storage")
        return s3
    return LocalStorage(tmp_path / "storage") if request.param == "local" else MemoryStorage()
