"""Dispatchers that die or are two: each job is sent at least once, and has one effect."""

import pytest

from tests.support.arena import Arena

PHOTOS = 12


@pytest.mark.fault("F4", "SIGKILL of the dispatcher around its message", "sent again, one effect")
@pytest.mark.parametrize("point", ["dispatch.marked", "dispatch.sent"])
def test_job_that_the_dispatcher_was_about_to_send_runs_once(arena: Arena, point: str):
    arena.arm("job.claimed")  # so that it is the dispatcher's to send
    arena.arm(point)
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, point)
    arena.wait_until_dead("job.claimed")
    arena.wait_until_dead(point)
    arena.wait_until_ready([file_id])


@pytest.mark.fault("F5", "two dispatchers, one of them killed", "one leads, the other takes over")
def test_two_dispatchers_do_nothing_twice(arena: Arena):
    with arena.service.one_more("dispatcher"), arena.client() as client:
        before = [arena.upload_until_taken(client, f"before {number}") for number in range(PHOTOS)]
        old_pid = arena.service.kill("dispatcher")
        after = [arena.upload_until_taken(client, f"after {number}") for number in range(PHOTOS)]
        arena.wait_until_ready(before + after)
        arena.service.wait_until_restarted("dispatcher", old_pid=old_pid)
