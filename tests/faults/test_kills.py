"""SIGKILL for one process after the other while photos arrive: nothing acknowledged is lost."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.arena import Arena

CLIENTS = 4
PHOTOS_BETWEEN = 8
PAUSE_SECONDS = 0.2
"""Of a client between two photos: all that arrives must be processed before the test's patience ends."""


def _kill_child(arena: Arena) -> None:
    arena.wait_for_sandbox_child().kill()


def _kill_zygote(arena: Arena) -> None:
    zygote = arena.wait_for_sandbox_child().parent()
    assert zygote is not None
    zygote.kill()


def _kill(role: str) -> Callable[[Arena], None]:
    def kill(arena: Arena) -> None:
        old_pid = arena.service.kill(role)
        arena.service.wait_until_restarted(role, old_pid=old_pid)

    return kill


def _kill_redis(arena: Arena) -> None:
    if arena.valkey is None:
        _kill("redis")(arena)
    else:
        arena.valkey.kill()
        arena.valkey.start()


VICTIMS = (_kill("api"), _kill("worker"), _kill("dispatcher"), _kill_child, _kill_redis, _kill_zygote)


@pytest.mark.slow
@pytest.mark.fault("F7", "SIGKILL of each process in turn, while photos arrive", "every photo becomes ready")
def test_no_photo_is_lost_when_one_process_after_the_other_is_killed(arena: Arena):
    taken: list[str] = []
    over = threading.Event()

    def live(client_number: int) -> None:
        with arena.client() as client:
            number = 0
            while not over.wait(PAUSE_SECONDS):
                number += 1
                taken.append(arena.upload_until_taken(client, f"photo {client_number}.{number}"))

    def wait_for(count: int) -> None:
        arena.service.wait_until(lambda: len(taken) >= count, "photos arrive")

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(live, number) for number in range(CLIENTS)]
        try:
            for kill in VICTIMS:
                wait_for(len(taken) + PHOTOS_BETWEEN)
                kill(arena)
        finally:
            over.set()
        for client in clients:
            client.result()
    assert len(taken) >= PHOTOS_BETWEEN * len(VICTIMS)
    arena.service.wait_until_ready()
    arena.wait_until_ready(taken)
