"""Under Gunicorn the API is the one that it is under `media serve`: bounds, refusals, the order of a stop.

One request of each group of the table; the whole of it, and other ends, are in `make test-deploy`.
"""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends import ADMIN, Backend
from tests.support.gunicorn_server import CONFIG, GunicornServer, environment_of
from tests.support.hostile_http import FOLLOWER, ROWS, SILENCES, Expected, HostileRequest
from tests.support.raw_http import RawConnection, exchange

# What is tested here ends before any storage.
pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

PATIENCE_SECONDS = 0.3
GRACE_SECONDS = 3
KEY_ROWS = list({row.group: row for row in ROWS}.values())


@pytest.fixture(scope="module")
def gunicorn(backend: Backend) -> Iterator[GunicornServer]:
    patience = {"header_timeout": PATIENCE_SECONDS, "body_idle_timeout": PATIENCE_SECONDS}
    with GunicornServer({**backend.values, **patience}) as server:
        yield server


@pytest.fixture
def impatient(gunicorn: GunicornServer, clean_backend: Backend) -> GunicornServer:
    return gunicorn


@pytest.fixture
def stoppable(backend: Backend, clean_backend: Backend) -> Iterator[GunicornServer]:
    with GunicornServer({**backend.values, "shutdown_grace": GRACE_SECONDS}) as server:
        yield server


@pytest.mark.parametrize("row", KEY_ROWS, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_request_has_the_same_answer(
    impatient: GunicornServer, clean_backend: Backend, row: HostileRequest
):
    first, *more = exchange(impatient.port, [row.raw, FOLLOWER])
    assert (first.status, first.code) == (row.status, row.code)
    assert [answer.status for answer in more] == ([200] if row.is_kept else [])
    assert "server" not in first.headers
    stored = {"files", "events", "objects"} if row.status == 201 else set()
    assert set(clean_backend.leftovers()) == stored


@pytest.mark.parametrize("row", SILENCES, ids=lambda row: row[0])
def test_request_that_stops_is_a_408(
    impatient: GunicornServer, clean_backend: Backend, row: tuple[str, bytes, Expected]
):
    _, raw, expected = row
    with RawConnection(impatient.port) as client:
        client.send(raw)
        answer = client.answer()
        assert (answer.status, json.loads(answer.read())["code"]) == expected
    assert clean_backend.leftovers() == {}


def test_upload_under_way_ends_after_sigterm_and_the_exit_is_clean(
    stoppable: GunicornServer, clean_backend: Backend
):
    def body() -> Iterator[bytes]:
        yield bytes(1024 * 1024)
        stoppable.send_signal(signal.SIGTERM)
        time.sleep(1)
        yield bytes(1024)

    answer = stoppable.client.post("/v1/files?filename=slow.bin", headers=ADMIN, content=body())
    assert answer.status_code == 201
    assert answer.json()["items"][0]["size"] == 1024 * 1025
    assert stoppable.wait() == 0
    events = Counter(json.loads(line).get("event") for line in stoppable.log.splitlines())
    assert (events["api.draining"], events["api.stopped"]) == (2, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"prot": 1}, "Unknown setting: MEDIA_PROT"), ({"database_url": "sqlite:///empty.db"}, "migrate")],
)
def test_start_that_cannot_succeed_says_why_in_one_line(
    backend: Backend, tmp_path: Path, changes: dict[str, object], said: str
):
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--config", str(CONFIG)],
        cwd=tmp_path,
        env=environment_of({**backend.values, **changes}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("media-service: ")
    assert said in line
