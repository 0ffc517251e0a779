"""What the two databases must agree on: their clock, lists in JSON, times, and errors when they are away."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from media_service.auth.models import Role, User
from media_service.blocking_database import Database
from media_service.dialects import async_url, now_ms, sync_url
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.models import new_id
from media_service.tables import File
from tests.support.backends import Backend


@pytest.mark.parametrize(
    ("url", "blocking", "awaiting"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:***@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgres://h/d", "postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////x/y.db", "sqlite+pysqlite:////x/y.db", "sqlite+aiosqlite:////x/y.db"),
    ],
)
def test_one_url_serves_both_sides(url: str, blocking: str, awaiting: str):
    assert (str(sync_url(url)), str(async_url(url))) == (blocking, awaiting)


def test_clock_of_the_database_counts_milliseconds_of_utc(clean_backend: Backend):
    with clean_backend.database.read() as session:
        before, told, after = time.time() * 1000, session.scalar(select(now_ms())), time.time() * 1000
    assert told is not None
    assert before - 50 <= told <= after + 50


def test_clock_moves_within_a_transaction(clean_backend: Backend):
    with clean_backend.database.read() as session:
        first = session.scalar(select(now_ms())) or 0
        time.sleep(0.02)
        assert (session.scalar(select(now_ms())) or 0) > first


def add_file(backend: Backend, **values: object) -> File:
    owner = backend.add_owner()
    file = File(
        id=new_id(),
        owner_id=owner.id,
        filename="x",
        content_type="text/plain",
        size_bytes=1,
        kind=FileKind.OTHER,
        status=FileStatus.READY,
        visibility=Visibility.PRIVATE,
        **{"tags": [], "custom": {}, "media": {}, **values},
    )
    with backend.database.transaction() as session:
        session.add(file)
    return file


def test_times_come_back_in_utc_whatever_zone_they_were_given_in(clean_backend: Backend):
    moment = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=9)))
    add_file(clean_backend, created_at=moment)
    [file] = clean_backend.rows(File)
    assert file.created_at == moment
    assert file.created_at.tzinfo == UTC


def test_enums_are_stored_by_their_values(clean_backend: Backend):
    add_file(clean_backend)
    with clean_backend.database.read() as session:
        row = session.execute(text("SELECT kind, status, visibility FROM files")).one()
    assert tuple(row) == ("other", "ready", "private")


def test_custom_comes_back_as_it_was(clean_backend: Backend):
    custom = {"a": [1, 2.5, None, True], "ü": {"日本": "x"}, "big": 2**53, "escaped": "\\u0000"}
    add_file(clean_backend, custom=custom)
    assert clean_backend.rows(File)[0].custom == custom


def add_user_and_fail(backend: Backend) -> None:
    with backend.database.transaction() as session:
        session.add(User(id=new_id(), role=Role.USER))
        session.flush()
        raise ZeroDivisionError


def test_failed_transaction_leaves_nothing(clean_backend: Backend):
    users = len(clean_backend.rows(User))
    with pytest.raises(ZeroDivisionError):
        add_user_and_fail(clean_backend)
    assert len(clean_backend.rows(User)) == users


def test_foreign_keys_are_kept(clean_backend: Backend):
    with pytest.raises(IntegrityError), clean_backend.database.transaction() as session:
        session.add(
            File(
                id=new_id(),
                owner_id=new_id(),
                filename="x",
                content_type="x/y",
                size_bytes=1,
                kind=FileKind.OTHER,
                status=FileStatus.READY,
                visibility=Visibility.PRIVATE,
                tags=[],
                custom={},
                media={},
            )
        )


@pytest.mark.parametrize("url", ["postgresql://u@/d?host=/nonexistent", "sqlite:////nonexistent/x.db"])
def test_database_that_is_away_is_our_error(url: str):
    database = Database(url, pool_size=1)
    with pytest.raises(MediaServiceError) as caught, database.read() as session:
        session.execute(text("SELECT 1"))
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAVAILABLE, "database-unavailable")
    assert "nonexistent" not in caught.value.detail
    database.close()


def test_sqlite_waits_for_another_writer_instead_of_failing(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'busy.db'}", pool_size=8)
    with database.transaction() as session:
        session.execute(text("CREATE TABLE t (n INTEGER)"))
        session.execute(text("INSERT INTO t VALUES (0)"))

    def count(_: int) -> None:
        with database.transaction() as session:
            value = session.scalar(text("SELECT n FROM t")) or 0
            session.execute(text("UPDATE t SET n = :n"), {"n": value + 1})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(80)))
    with database.read() as session:
        assert session.scalar(text("SELECT n FROM t")) == 80
    database.close()


def test_error_of_a_statement_does_not_repeat_its_parameters(clean_backend: Backend):
    statement = text("SELECT 1 FROM no_such_table WHERE key = :key")
    with pytest.raises((DBAPIError, MediaServiceError)) as caught, clean_backend.database.read() as session:
        session.execute(statement, {"key": "a-digest-of-a-key"})
    error = caught.value if isinstance(caught.value, DBAPIError) else caught.value.__cause__
    assert "no_such_table" in str(error)
    assert "a-digest-of-a-key" not in str(error)
