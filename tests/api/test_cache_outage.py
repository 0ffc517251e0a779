"""A Redis that is away, slow, or full costs answers nothing but a moment."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.logs import lines_of, written_log
from tests.support.valkey import ValkeyServer

pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)


@pytest.fixture
def own_redis() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def names_of(server: ApiServer, owner: Owner) -> list[str]:
    answer = server.client.get("/v1/files", headers=owner.headers)
    assert answer.status_code == 200
    return [item["filename"] for item in answer.json()["items"]]


def add(server: ApiServer, owner: Owner, name: str) -> None:
    answer = server.client.post(f"/v1/files?filename={name}", headers=owner.headers, content=b"x")
    assert answer.status_code == 201


def test_outage_of_redis_is_logged_once_and_answers_stay_right(
    clean_backend: Backend, own_redis: ValkeyServer
):
    owner = clean_backend.add_owner()
    with written_log() as log, ApiServer(clean_backend.settings, redis_url=own_redis.url) as server:
        cache = server.app.state.descriptions._cache
        add(server, owner, "a")
        assert names_of(server, owner) == names_of(server, owner) == ["a"]
        own_redis.kill()
        assert names_of(server, owner) == ["a"]
        add(server, owner, "b")
        for _ in range(5):
            assert names_of(server, owner) == ["b", "a"]
        cache._rests_until = 0.0  # five seconds pass
        assert names_of(server, owner) == ["b", "a"]
        own_redis.start()
        cache._rests_until = 0.0
        assert names_of(server, owner) == names_of(server, owner) == ["b", "a"]
    said = [line["event"] for line in lines_of(log) if str(line["event"]).startswith("cache.")]
    assert said == ["cache.unavailable", "cache.available"]


def test_redis_that_hangs_costs_one_request_a_moment_and_the_next_ones_nothing(
    clean_backend: Backend, own_redis: ValkeyServer
):
    owner = clean_backend.add_owner()
    with ApiServer(clean_backend.settings, redis_url=own_redis.url) as server:
        add(server, owner, "a")
        names_of(server, owner)
        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            assert names_of(server, owner) == ["a"]
            assert time.monotonic() - started < 2
            assert server.app.state.descriptions._cache._is_away
            started = time.monotonic()
            for _ in range(5):
                assert names_of(server, owner) == ["a"]
            assert time.monotonic() - started < 2
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)


def test_redis_that_is_full_or_holds_something_else_is_as_good_as_none(
    clean_backend: Backend, own_redis: ValkeyServer
):
    owner = clean_backend.add_owner()
    with (
        ApiServer(clean_backend.settings, redis_url=own_redis.url) as server,
        Redis.from_url(own_redis.url) as redis,
    ):
        add(server, owner, "a")
        names_of(server, owner)
        [key] = redis.scan_iter("media-cache:*")
        redis.delete(key)
        redis.lpush(key, "a list")
        assert names_of(server, owner) == ["a"]
        redis.delete(key)
        redis.config_set("maxmemory", 1)
        server.app.state.descriptions._cache._rests_until = 0.0
        assert names_of(server, owner) == ["a"]
