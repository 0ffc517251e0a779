"""Redis away or hung: who is known is served as ever, and nobody may guess passwords without end."""

import time
from collections import Counter
from contextlib import AbstractContextManager

import httpx2
import pytest

from media_service.models import new_id
from media_service.rate_limits.redis_counts import PAUSE
from tests.faults.test_redis import _redis_down, _redis_pid
from tests.support.arena import Arena, seconds_of, stopped

REQUESTS = 40
QUICK_SECONDS = 1.0
"""The patience with Redis is a quarter of one; the rest is a busy machine."""
LOGINS, REFUSED_FROM = 14, 10
"""MEDIA_RATE_LIMIT_PASSWORD lets ten pass."""


@pytest.mark.fault("F11", "Redis refuses connections", "keys work, logins are limited; said once")
def test_known_clients_are_served_and_logins_limited_while_redis_is_down(arena: Arena):
    with arena.client() as client:
        assert "ratelimit" in client.get("/v1/files").headers
    _check_outage(arena, _redis_down(arena))


@pytest.mark.fault("F12", "Redis hangs", "one request in five seconds waits a quarter of one")
def test_known_clients_are_served_and_logins_limited_while_redis_hangs(arena: Arena):
    _check_outage(arena, stopped(_redis_pid(arena)))


def _check_outage(arena: Arena, outage: AbstractContextManager[None]) -> None:
    log_from = len(arena.service.log)
    with arena.client() as client:
        with outage:
            times = [seconds_of(lambda: _expect_files(client)) for _ in range(REQUESTS)]
            statuses = Counter(_guess(client, f"{log_from}@example.org") for _ in range(LOGINS))
        assert max(times) < QUICK_SECONDS
        assert sorted(times)[-3] < QUICK_SECONDS / 4
        assert statuses == {401: REFUSED_FROM, 429: LOGINS - REFUSED_FROM}
        arena.service.wait_until(lambda: _is_counted(client), "requests are counted again")
    said = arena.service.log[log_from:]
    assert [said.count(f"rate_limits.redis_{word}") for word in ("away", "back")] == [1, 1]


def _expect_files(client: httpx2.Client) -> None:
    assert client.get(f"/v1/files/{new_id()}").status_code == 404


def _guess(client: httpx2.Client, name: str) -> int:
    form = {"grant_type": "password", "username": name, "password": "wrong password"}
    return client.post("/v1/auth/token", data=form).status_code


def _is_counted(client: httpx2.Client) -> bool:
    time.sleep(PAUSE.total_seconds() / 50)
    return "ratelimit" in client.get("/v1/files").headers
