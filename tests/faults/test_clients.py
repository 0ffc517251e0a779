"""Clients that go away, stall, drip or lie about lengths: nothing of theirs stays, nobody else notices."""

import socket
import time
from collections.abc import Callable

import pytest

from tests.support.arena import Arena, seconds_of
from tests.support.raw_http import RawConnection

MIB = 1024 * 1024
CLEAN_SECONDS = 5 + 5
"""Five seconds, a stall of three before some of them, and a busy machine."""
SLOW_HEADS = 500
READINESS_SECONDS = 0.5


def _fin(client: RawConnection) -> None:
    client.close()


def _reset(client: RawConnection) -> None:
    client.reset()


def _half_close(client: RawConnection) -> None:
    client.socket.shutdown(socket.SHUT_WR)


def _stall(client: RawConnection) -> None:
    assert client.answer().status == 408


def _drip(client: RawConnection) -> None:
    for _ in range(100):
        client.send(b"x")
        time.sleep(0.05)
    assert client.answer().status == 408


def _too_much(client: RawConnection) -> None:
    """More than was announced is the next request, and none at all."""
    client.send(bytes(20 * MIB - 6 * MIB) + b"and more\r\n\r\n")
    assert client.answer().status in {201, 400}


LEAVING: tuple[tuple[str, Callable[[RawConnection], None]], ...] = (
    ("FIN", _fin),
    ("RST", _reset),
    ("half-close", _half_close),
    ("stall", _stall),
    ("one byte at a time", _drip),
)


@pytest.mark.fault(
    "F31", "clients that break off, stall or drip in mid-body", "nothing stays after five seconds"
)
@pytest.mark.parametrize("leave", [leave for _, leave in LEAVING], ids=[name for name, _ in LEAVING])
def test_upload_whose_client_leaves_is_gone_soon(arena: Arena, leave: Callable[[RawConnection], None]):
    service, objects = arena.service, arena.configuration.objects
    with RawConnection(service.port) as client:
        client.send_head("POST", "/v1/files", {**service.headers, "Content-Length": str(20 * MIB)})
        client.send(bytes(6 * MIB))
        service.wait_until(lambda: bool(objects.unfinished()), "the upload has parts in the storage")
        leave(client)
        service.wait_until(
            lambda: not objects.unfinished() and not objects.keys(),
            "nothing of it is left",
            timeout_seconds=CLEAN_SECONDS,
        )


@pytest.mark.fault(
    "F31", "bytes beyond the announced length", "the file is what was announced, then 400 or close"
)
def test_bytes_beyond_the_length_are_no_part_of_the_file(arena: Arena):
    service = arena.service
    with RawConnection(service.port) as client:
        client.send_head("POST", "/v1/files", {**service.headers, "Content-Length": str(20 * MIB)})
        client.send(bytes(6 * MIB))
        _too_much(client)
        assert client.is_closed_by_peer()
    with arena.client() as http:
        assert [file["size"] for file in http.get("/v1/files").json()["items"]] == [20 * MIB]
    digest = http_digest(arena)
    arena.ledger.unanswered.add(digest)


def http_digest(arena: Arena) -> str:
    with arena.client() as client:
        return str(client.get("/v1/files").json()["items"][0]["sha256"])


@pytest.mark.fault("F32", "500 connections that never finish a head", "readiness within half a second")
def test_half_open_connections_do_not_slow_readiness(arena: Arena):
    service = arena.service
    crowd = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(SLOW_HEADS)]
    try:
        for connection in crowd:
            connection.sendall(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nX-Never: ")
        with arena.client() as client:
            assert client.get("/readyz").status_code == 200
            assert max(seconds_of(lambda: client.get("/readyz")) for _ in range(5)) < READINESS_SECONDS
    finally:
        for connection in crowd:
            connection.close()
