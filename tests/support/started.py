"""Started services in the configurations that users have, each with a view of its storage."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import make_url

from tests.support.moto_server import ENVIRONMENT
from tests.support.objects import StoredObjects, bucket_objects, folder_objects
from tests.support.postgres import PostgresServer
from tests.support.s3_server import S3Server
from tests.support.service import RunningService
from tests.support.valkey import ValkeyServer

BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""As `make run` has it: compiling some 2000 modules anew would add seconds to each start of a process."""


KEY = re.compile(r"msk_[A-Za-z0-9]+_[A-Za-z0-9_-]+")
"""An API key that the service made."""


class FreshService(RunningService):
    """A service that makes its first admin's key itself and prints it, as on a fresh machine."""

    def start(self) -> None:
        super().start()
        self.wait_until(lambda: "Media Service is running at" in self.log, "the greeting")
        (self.api_key,) = set(KEY.findall(self.log))

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        del environment["MEDIA_ADMIN_API_KEY"]
        return environment


@dataclass(frozen=True, slots=True)
class Configuration:
    """A started service, and where its rows and objects lie."""

    service: RunningService
    objects: StoredObjects
    database_url: str


@contextmanager
def embedded(settings: Mapping[str, str], *, data_dir: Path | None = None) -> Iterator[Configuration]:
    """The default: SQLite, a directory and the bundled Redis."""
    with RunningService(env={**BYTECODE, **settings}, data_dir=data_dir) as service:
        database_url = f"sqlite:///{service.data_dir / 'media.db'}"
        yield Configuration(service, folder_objects(service.data_dir), database_url)


@contextmanager
def scaled_out(
    settings: Mapping[str, str],
    *,
    postgres: PostgresServer,
    valkey: ValkeyServer,
    s3: S3Server,
    database_port: int | None = None,
) -> Iterator[Configuration]:
    """PostgreSQL, S3 and a Redis of its own, by settings alone; those given may name other ways to them.

    `database_port` is a loopback port by which the service, and not the tests, reaches PostgreSQL.
    """
    bucket = replace(s3, bucket="media-acceptance")
    objects = bucket_objects(bucket)
    database_url = postgres.create_database()
    seen_url = make_url(database_url)
    if database_port is not None:
        seen_url = seen_url.set(host="127.0.0.1", port=database_port, query={})
    chosen = {
        "MEDIA_DATABASE_URL": seen_url.render_as_string(hide_password=False),
        "MEDIA_REDIS_URL": valkey.url.replace("db=0", "db=7"),  # the server serves other tests too
        "MEDIA_STORAGE": "s3",
        "MEDIA_S3_BUCKET": bucket.bucket,
        "MEDIA_S3_ENDPOINT_URL": bucket.endpoint_url,
        "MEDIA_S3_ADDRESSING_STYLE": "path",
    }
    with RunningService(env={**BYTECODE, **ENVIRONMENT, **chosen, **settings}) as service:
        yield Configuration(service, objects, database_url)
