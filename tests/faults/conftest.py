"""The service under fire, once for each configuration; after each test everything must hold again.

One service bears all of it, one fault after the other, so each test also finds what the one before left.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import images
from tests.support.after_faults import check_everything, tidy
from tests.support.arena import SETTINGS, Arena
from tests.support.leaks import Usage, usage_of
from tests.support.moto_server import moto_server
from tests.support.postgres import PostgresServer
from tests.support.s3_proxy import S3FaultProxy
from tests.support.started import embedded, scaled_out
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey import ValkeyServer

CROWD, LARGE_FILES = 16, 6
Started = tuple[Arena, dict[str, Usage]]


@pytest.fixture(scope="session", params=["embedded", "postgresql-s3"])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A service, and what its processes use at rest after they have served a crowd."""
    armed, temp = tmp_path_factory.mktemp("faultpoints"), tmp_path_factory.mktemp("temp")
    settings = {**SETTINGS, "MEDIA_FAULTPOINTS": str(armed), "TMPDIR": str(temp)}
    with ExitStack() as stack:
        if request.param == "embedded":
            configuration = stack.enter_context(embedded(settings))
            arena = Arena(configuration, armed, temp, images.jpeg(1152, 864))
        else:
            arena = _behind_proxies(stack, settings, armed, temp)
        _serve_a_crowd(arena)
        tidy(arena)
        yield arena, usage_of(arena)


def _behind_proxies(stack: ExitStack, settings: Mapping[str, str], armed: Path, temp: Path) -> Arena:
    """PostgreSQL, Redis and S3 of their own, each reached through a proxy only."""
    postgres = stack.enter_context(PostgresServer(tcp=True))
    valkey = stack.enter_context(ValkeyServer(tcp=True))
    s3 = stack.enter_context(moto_server())
    database_proxy = stack.enter_context(TcpProxy(postgres.port))
    redis_proxy = stack.enter_context(TcpProxy(valkey.port))
    s3_proxy = stack.enter_context(S3FaultProxy(s3.endpoint_url))
    reached = {
        "MEDIA_REDIS_URL": f"redis://127.0.0.1:{redis_proxy.port}/0",
        "MEDIA_S3_ENDPOINT_URL": s3_proxy.url,
    }
    configuration = stack.enter_context(
        scaled_out(
            {**settings, **reached},
            postgres=postgres,
            valkey=valkey,
            s3=s3,
            database_port=database_proxy.port,
        )
    )
    return Arena(
        configuration, armed, temp, images.jpeg(1152, 864), database_proxy, redis_proxy, s3_proxy, valkey
    )


def _serve_a_crowd(arena: Arena) -> None:
    """Let every pool grow: what a process takes once and keeps is no leak."""

    def visit(number: int) -> str:
        with arena.client() as client:
            file_id = arena.upload_until_taken(client, f"crowd {number}")
            assert client.get(f"/v1/files/{file_id}/content").status_code == 200
            if number < LARGE_FILES:
                large = arena.post(client, "large.bin", number.to_bytes(4) + bytes(5 * 1024 * 1024))
                assert large is not None
                assert large.status_code == 201
            return file_id

    with ThreadPoolExecutor(CROWD) as pool:
        arena.wait_until_ready(list(pool.map(visit, range(CROWD))))


@pytest.fixture
def arena(started: Started) -> Iterator[Arena]:
    """The service, well; and what must hold after the test is checked here, however the test ended."""
    whole, baseline = started
    log_from = len(whole.service.log)
    yield whole
    whole.heal()
    try:
        check_everything(whole, baseline, log_from=log_from)
    finally:
        tidy(whole)
