"""The database away, hung, overloaded or of unknown mind: bounded answers, nothing lost, nothing twice."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from tests.support.arena import ANSWER_SECONDS, SLACK_SECONDS, Arena, seconds_of, stopped

BOUND_SECONDS = ANSWER_SECONDS["database"] + SLACK_SECONDS
PROBE_SECONDS = 0.5 + 0.4
"""Half a second, and a busy machine."""
MIB = 1024 * 1024

on_a_server = pytest.mark.parametrize("started", ["postgresql-s3"], indirect=True)
embedded_only = pytest.mark.parametrize("started", ["embedded"], indirect=True)


@pytest.mark.slow
@pytest.mark.fault("F17", "the database is down", "503 within five seconds, and nothing stays")
@on_a_server
def test_requests_are_refused_in_time_while_the_database_is_down(arena: Arena):
    assert arena.database is not None
    arena.database.go_down()
    _check_refusals(arena)


@pytest.mark.slow
@pytest.mark.fault("F17", "the database goes down between the bytes and the commit", "503, nothing stays")
@on_a_server
def test_upload_whose_commit_fails_leaves_nothing(arena: Arena):
    database = arena.database
    assert database is not None

    def body() -> Iterator[bytes]:
        yield bytes(6 * MIB)
        database.go_down()
        yield bytes(MIB)

    with arena.client() as client:
        assert client.post("/v1/files?filename=large.bin", content=body()).status_code == 503
    database.heal()
    arena.service.wait_until(lambda: not arena.configuration.objects.keys(), "nothing stays")


@pytest.mark.slow
@pytest.mark.fault("F17", "the database goes down while a worker decodes", "the job is done once it is back")
@on_a_server
def test_photo_becomes_ready_although_the_database_was_down_while_it_was_decoded(arena: Arena):
    assert arena.database is not None
    with arena.client() as client:
        taken = [arena.upload_until_taken(client, f"photo {number}") for number in range(6)]
        arena.wait_for_sandbox_child()
        arena.database.go_down()
        time.sleep(2)
        arena.database.heal()
    arena.wait_until_ready(taken)


@pytest.mark.slow
@pytest.mark.fault("F17", "the database is down when a worker takes its message", "the job is sent again")
@on_a_server
def test_photo_becomes_ready_although_the_database_was_down_at_its_claim(arena: Arena):
    assert arena.database is not None
    with arena.client() as client, stopped(arena.service.pids["worker"]):
        taken = [arena.upload_until_taken(client, "claimed late")]
        time.sleep(0.5)
        arena.database.go_down()
    time.sleep(2)
    arena.database.heal()
    arena.wait_until_ready(taken)


@pytest.mark.fault("F18", "the database hangs", "503 within five seconds, probes within half a second")
@on_a_server
def test_requests_are_refused_in_time_while_the_database_hangs(arena: Arena):
    assert arena.database is not None
    arena.database.hang()
    _check_refusals(arena)


@pytest.mark.slow
@pytest.mark.fault("F18", "the database hangs in the middle of a large upload", "503 in time, nothing stays")
@on_a_server
def test_upload_is_refused_in_time_when_the_database_hangs_meanwhile(arena: Arena):
    database = arena.database
    assert database is not None

    def body() -> Iterator[bytes]:
        yield bytes(6 * MIB)
        database.hang()
        yield bytes(MIB)

    with arena.client() as client:
        started = time.monotonic()
        answer = client.post("/v1/files?filename=large.bin", content=body())
    assert answer.status_code == 503
    assert time.monotonic() - started < BOUND_SECONDS + 1
    database.heal()
    arena.service.wait_until(lambda: not arena.configuration.objects.keys(), "nothing stays")


@pytest.mark.slow
@pytest.mark.fault("F18", "a table is locked for long, and every connection waits", "503 in time")
@on_a_server
def test_requests_are_refused_in_time_while_all_connections_wait(arena: Arena):
    with _sql(arena) as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE files IN ACCESS EXCLUSIVE MODE")
        _check_refusals(arena, is_ready=True)
        connection.execute("ROLLBACK")


@pytest.mark.slow
@pytest.mark.fault("F18", "another process holds SQLite's only lock", "503 in time; reads go on")
@embedded_only
def test_writes_are_refused_in_time_while_sqlite_is_locked(arena: Arena):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, "before")
        arena.wait_until_ready([file_id])
        with _locked(arena.service.data_dir / "media.db"):
            with ThreadPoolExecutor(4) as pool:
                seconds = list(pool.map(lambda n: _refused_seconds(arena, f"locked {n}"), range(4)))
            assert client.get(f"/v1/files/{file_id}").status_code == 200
            assert client.get(f"/v1/files/{file_id}/content").status_code == 200
    assert max(seconds) < BOUND_SECONDS


@pytest.mark.fault("F19", "the answer to a COMMIT is lost", "one file, whatever the client was told")
@on_a_server
def test_commit_of_unknown_outcome_makes_one_file(arena: Arena):
    assert arena.database is not None
    arena.database.lose_answers_to(b"COMMIT", on_connections_that_said=b"unknown-outcome.jpg")
    with arena.client() as client:
        answer = arena.post(client, "unknown-outcome.jpg", arena.new_photo("unknown outcome"))
        assert arena.database.lost_answers == 1
        assert answer is not None
        assert answer.status_code == 201, answer.text
    arena.wait_until_ready(list(arena.ledger.acknowledged))


@pytest.mark.slow
@pytest.mark.fault(
    "F19", "a COMMIT takes effect after its request was given up", "nothing is deleted that it describes"
)
@on_a_server
def test_commit_that_comes_late_finds_its_bytes(arena: Arena):
    key = {"Idempotency-Key": str(uuid4())}
    photo = arena.new_photo("late")
    with _sql(arena) as connection, _first_commit_is_slow(connection), arena.client() as client:
        answer = arena.post(client, "late.jpg", photo, **key)
        assert answer is not None
        assert answer.status_code == 503, answer.text
        deadline = time.monotonic() + 20
        while (answer := arena.post(client, "late.jpg", photo, **key)) is None or answer.status_code != 201:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert answer.headers["idempotent-replayed"] == "true"
        file_id = answer.json()["items"][0]["id"]
        assert client.get(f"/v1/files/{file_id}/content").content == photo
    arena.wait_until_ready([file_id])


@pytest.mark.fault("F20", "serialization failures", "tried again at once; 503 if they do not end")
@on_a_server
@pytest.mark.parametrize(("failures", "status"), [(2, 201), (50, 503)])
def test_transaction_that_others_got_into_the_way_of_is_tried_again(arena: Arena, failures: int, status: int):
    with _sql(arena) as connection, _failing_inserts(connection, failures), arena.client() as client:
        answer = arena.upload(client, "in the way")
        assert answer is not None
        assert answer.status_code == status


def _check_refusals(arena: Arena, *, is_ready: bool = False) -> None:
    """Every kind of request has its answer in time, also when many come at once."""
    with ThreadPoolExecutor(12) as pool:
        uploads = [pool.submit(_refused_seconds, arena, f"refused {number}") for number in range(12)]
        with arena.client() as client:
            assert seconds_of(lambda: client.get("/livez")) < PROBE_SECONDS
            assert seconds_of(lambda: client.get("/readyz")) < PROBE_SECONDS
            assert client.get("/readyz").status_code == (200 if is_ready else 503)
            started = time.monotonic()
            assert client.get("/v1/files").status_code == 503
            assert time.monotonic() - started < BOUND_SECONDS
        assert max(upload.result() for upload in uploads) < BOUND_SECONDS
        with arena.client() as client:  # and so do those that come when all connections were lost
            assert _refused_seconds(arena, "refused later") < BOUND_SECONDS


def _refused_seconds(arena: Arena, label: str) -> float:
    started = time.monotonic()
    with arena.client() as client:
        answer = arena.upload(client, label)
    assert answer is not None
    assert answer.status_code == 503, answer.text
    return time.monotonic() - started


@contextmanager
def _sql(arena: Arena) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """A connection past the proxy."""
    url = make_url(arena.configuration.database_url)
    host, port = url.query["host"], url.query["port"]
    with psycopg.connect(
        host=str(host), port=str(port), user=url.username, dbname=url.database, autocommit=True
    ) as connection:
        yield connection


@contextmanager
def _failing_inserts(connection: "psycopg.Connection[tuple[object, ...]]", failures: int) -> Iterator[None]:
    """Let so many inserts of files fail as a deadlock's loser does; a sequence counts past rollbacks."""
    connection.execute("CREATE SEQUENCE inserts")
    connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('inserts') <= {failures} THEN "
        "RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$"
    )
    connection.execute(
        "CREATE TRIGGER fails BEFORE INSERT ON files FOR EACH STATEMENT EXECUTE FUNCTION fail()"
    )
    try:
        yield
    finally:
        connection.execute("DROP TRIGGER fails ON files")
        connection.execute("DROP FUNCTION fail")
        connection.execute("DROP SEQUENCE inserts")


@contextmanager
def _first_commit_is_slow(connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[None]:
    """Slower than the patience of a request, and just quicker than the server's own timeout."""
    connection.execute("CREATE SEQUENCE commits")
    connection.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('commits') = 1 THEN PERFORM pg_sleep(4.8); END IF; RETURN NULL; END $$"
    )
    connection.execute(
        "CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON files DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    try:
        yield
    finally:
        connection.execute("DROP TRIGGER dawdles ON files")
        connection.execute("DROP FUNCTION dawdle")
        connection.execute("DROP SEQUENCE commits")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
