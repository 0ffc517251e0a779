import os
from pathlib import Path

import pytest
import redis
from celery import Celery

from media_service.broker.urls import (
    MAX_SOCKET_PATH_BYTES,
    celery_url,
    embedded_socket_path,
    redis_url,
    socket_url,
)


@pytest.mark.parametrize(
    ("url", "for_redis", "for_celery"),
    [
        ("redis://cache", "redis://cache/0", "redis://cache/0"),
        ("redis://cache:6380/2", "redis://cache:6380/2", "redis://cache:6380/2"),
        ("redis://cache/1?db=3", "redis://cache/3", "redis://cache/3"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://me:p%40ss@cache/0", "redis://me:p%40ss@cache/0", "redis://me:p%40ss@cache/0"),
        ("rediss://cache/0", "rediss://cache/0", "rediss://cache/0?ssl_cert_reqs=required"),
        (
            "rediss://cache/0?ssl_cert_reqs=CERT_NONE",
            "rediss://cache/0?ssl_cert_reqs=none",
            "rediss://cache/0?ssl_cert_reqs=CERT_NONE",
        ),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
        ("unix:///run/r.sock?db=4", "unix:///run/r.sock?db=4", "redis+socket:///run/r.sock?virtual_host=4"),
        (
            "redis+socket:///run/r.sock?virtual_host=5",
            "unix:///run/r.sock?db=5",
            "redis+socket:///run/r.sock?virtual_host=5",
        ),
        (
            "unix://:secret@/run/r.sock",
            "unix://:secret@/run/r.sock?db=0",
            "redis+socket://:secret@/run/r.sock?virtual_host=0",
        ),
    ],
)
def test_each_library_gets_its_spelling(url: str, for_redis: str, for_celery: str):
    assert redis_url(url) == for_redis
    assert celery_url(url) == for_celery


@pytest.mark.parametrize("url", ["redis://me:pw@cache:6380/2", "unix://:pw@/run/r.sock?db=2"])
def test_both_libraries_read_the_same_address(url: str):
    pool = redis.ConnectionPool.from_url(redis_url(url))
    backend = Celery(backend=celery_url(url), set_as_current=False).backend

    assert pool.connection_kwargs["db"] == int(backend.connparams["db"]) == 2
    assert pool.connection_kwargs["password"] == backend.connparams["password"] == "pw"
    assert pool.connection_kwargs.get("path") == backend.connparams.get("path")


@pytest.mark.parametrize("url", ["amqp://guest@rabbit//", "sqs://", "memory://"])
def test_other_brokers_pass_through_to_celery(url: str):
    assert celery_url(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:6379", "starts with redis://"),
        ("amqp://rabbit", "starts with redis://"),
        ("redis://", "names no host"),
        ("redis://cache:99999/0", "port"),
        ("redis://cache/first", "database is no number"),
        ("unix://relative/path", "absolute path"),
        ("unix://", "absolute path"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_a_reason(url: str, message: str):
    with pytest.raises(ValueError, match=message):
        redis_url(url)


def test_the_embedded_socket_lies_in_the_data_folder(tmp_path: Path):
    data_dir = Path("/srv/media")

    assert embedded_socket_path(data_dir, tmp_path) == data_dir / "redis" / "redis.sock"


def test_a_long_data_folder_gets_a_short_socket_path_of_its_own():
    first, second = Path("/", *["folder"] * 20), Path("/", *["folder"] * 21)
    path = embedded_socket_path(first, Path("/tmp"))

    assert path.parent.parent == Path("/tmp")
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert path == embedded_socket_path(first, Path("/tmp"))
    assert path != embedded_socket_path(second, Path("/tmp"))


def test_a_long_temp_folder_is_not_used():
    long = Path("/", *["folder"] * 20)

    assert embedded_socket_path(long, long).parent.parent == Path("/tmp")


def test_a_socket_path_with_odd_characters_survives_the_url(tmp_path: Path):
    path = tmp_path / "a b#c?d%e"

    assert redis.ConnectionPool.from_url(redis_url(socket_url(path))).connection_kwargs["path"] == str(path)
