"""SIGKILL of the API at every place of an upload: what was acknowledged stays, the rest leaves nothing."""

import time
from uuid import uuid4

import pytest

from tests.support.after_faults import listed
from tests.support.arena import Arena
from tests.support.raw_http import RawConnection

MIB = 1024 * 1024
GARBAGE_SECONDS = 20
"""A lease of 3 s, a sweep every half second, a grace of 5 s; the rest is a busy machine."""
LARGE = bytes(11 * MIB)


@pytest.mark.fault("F1", "SIGKILL of the API in mid-body", "no file, no object, no claim stays")
@pytest.mark.parametrize(
    "sent_bytes", [1, 3 * MIB, 10 * MIB], ids=["first byte", "mid-part", "between parts"]
)
def test_body_that_was_under_way_leaves_nothing(arena: Arena, sent_bytes: int):
    service = arena.service
    with RawConnection(service.port) as client:
        client.send_head("POST", "/v1/files", {**service.headers, "Content-Length": str(20 * MIB)})
        client.send(bytes(sent_bytes))
        time.sleep(0.3)
        _kill_api(arena)
        assert client.is_closed_by_peer()
    service.wait_until_ready()
    service.wait_until(
        lambda: not arena.configuration.objects.keys() and not arena.configuration.objects.unfinished(),
        "nothing of the upload is left",
        timeout_seconds=GARBAGE_SECONDS,
    )


@pytest.mark.fault(
    "F2",
    "SIGKILL of the API between two steps of an upload, up to its commit",
    "the same request, sent again under its Idempotency-Key, makes one file",
)
@pytest.mark.parametrize(
    ("point", "body"),
    [
        ("upload.claimed", LARGE),
        ("upload.begun", LARGE),
        ("upload.part", LARGE),
        ("upload.completed", LARGE),
        ("upload.stored", LARGE),
        ("upload.stored", b"small"),
    ],
)
def test_upload_that_died_before_its_commit_is_made_once_when_it_is_sent_again(
    arena: Arena, point: str, body: bytes
):
    key = {"Idempotency-Key": str(uuid4())}
    with arena.client() as client:
        _upload_until_dead(arena, point, body, key)
        arena.service.wait_until_ready()
        assert list(listed(client)) == []
        first = _until_made(arena, body, key)
        again = arena.post(client, "large.bin", body, **key)
        assert again is not None
        assert again.json()["items"][0]["id"] == first
        assert len(list(listed(client))) == 1


@pytest.mark.fault(
    "F3", "SIGKILL of the API between commit and message", "the job runs all the same, and the file is there"
)
def test_upload_that_died_after_its_commit_is_a_file_that_becomes_ready(arena: Arena):
    arena.arm("upload.committed")
    with arena.client() as client:
        assert arena.upload(client, "nobody heard of it") is None
    arena.service.wait_until_ready()
    with arena.client() as client:
        (file,) = listed(client)
    arena.wait_until_ready([file["id"]], seconds=10)


@pytest.mark.fault("F4", "SIGKILL of the API right after its message", "one effect, however often it is sent")
def test_api_that_dies_after_it_rang_costs_nothing(arena: Arena):
    arena.arm("doorbell.sent")
    with arena.client() as client:
        answer = arena.upload(client, "rung")
    arena.wait_until_dead("doorbell.sent")
    arena.service.wait_until_ready()
    if answer is None:  # the process may die before its answer is on its way
        with arena.client() as client:
            (file,) = listed(client)
        arena.wait_until_ready([file["id"]], seconds=10)


def _kill_api(arena: Arena) -> None:
    old_pid = arena.service.kill("api")
    arena.service.wait_until_restarted("api", old_pid=old_pid)


def _upload_until_dead(arena: Arena, point: str, body: bytes, key: dict[str, str]) -> None:
    old_pid = arena.service.pids["api"]
    arena.arm(point)
    with arena.client() as client:
        assert arena.post(client, "large.bin", body, **key) is None
    arena.wait_until_dead(point)
    arena.service.wait_until_restarted("api", old_pid=old_pid)


def _until_made(arena: Arena, body: bytes, key: dict[str, str]) -> str:
    """As a client does it: the key's claim lives on for a while after the process that held it."""
    deadline = time.monotonic() + GARBAGE_SECONDS
    with arena.client() as client:
        while True:
            answer = arena.post(client, "large.bin", body, **key)
            assert answer is not None
            if answer.status_code == 201:
                return str(answer.json()["items"][0]["id"])
            assert answer.json()["code"] == "idempotency-in-flight", answer.text
            assert time.monotonic() < deadline
            time.sleep(0.3)
