"""Processes whose clocks are wrong: leases are judged by the database's clock alone."""

import time
from pathlib import Path

import pytest

from tests.support.arena import Arena, stopped
from tests.support.debian import make_available

PHOTOS = 6
LEASE_SECONDS = 3
"""The setting of the arena."""


@pytest.fixture(scope="module")
def faketime() -> str:
    """The library that lies about the time to whoever preloads it."""
    if missing := make_available(["faketime"], ["faketime"]):
        pytest.skip(f"missing: {', '.join(missing)}; on Debian: apt-get install faketime")
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))


@pytest.mark.slow
@pytest.mark.timeout(900)  # the package may have to be installed first
@pytest.mark.parametrize("started", ["postgresql-s3"], indirect=True)
@pytest.mark.parametrize("skew", ["+2h", "-2h"])
@pytest.mark.fault(
    "F41", "worker and dispatcher two hours ahead, or behind", "no job is taken early, or twice"
)
def test_wrong_clocks_change_nothing(arena: Arena, faketime: str, skew: str):
    wrong = {"LD_PRELOAD": faketime, "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    pids = arena.service.pids
    with (
        arena.service.one_more("dispatcher", env=wrong),
        arena.service.one_more("worker", env=wrong),
        arena.client() as client,
    ):
        together = [arena.upload_until_taken(client, f"together {number}") for number in range(PHOTOS)]
        with stopped(pids["worker"], pids["dispatcher"]):  # so that only those with wrong clocks are left
            time.sleep(LEASE_SECONDS)
            alone = [arena.upload_until_taken(client, f"alone {number}") for number in range(PHOTOS)]
            arena.wait_until_ready(alone)
        arena.wait_until_ready(together)
