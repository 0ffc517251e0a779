"""What must hold once a fault is over: invariants I1 to I10, every time, whatever the fault was."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from tests.support.arena import ANSWER_SECONDS, SECONDS_TO_HEAL, SLACK_SECONDS, Arena
from tests.support.invariants import check_invariants, wait_until_settled
from tests.support.leaks import Usage, leaks_since

DEFECTS = ("request.crashed", '"internal-error"', "doorbell.failed")
"""Words of the log that no fault of a dependency excuses."""


def check_everything(arena: Arena, baseline: dict[str, Usage], *, log_from: int) -> None:
    """Wait for the service to come to rest, then assert all that must hold. The fault is over."""
    arena.service.wait_until_ready(timeout_seconds=SECONDS_TO_HEAL)
    with arena.client() as client:
        after = arena.upload_until_taken(client, "after the fault")
    arena.wait_until_ready([after])  # I9
    wait_until_settled(arena.configuration)
    check_invariants(arena.configuration, acknowledged=arena.ledger.acknowledged)
    _check_no_photo_failed(arena)
    slowest = arena.ledger.slowest_seconds
    assert slowest < ANSWER_SECONDS["storage"] + SLACK_SECONDS, (
        slowest
    )  # I7; closer bounds are the tests' own
    _check_each_upload_made_one_file(arena)
    _eventually(lambda: leaks_since(baseline, arena), "everything that was taken is given back (I8)")
    said = arena.service.log[log_from:].splitlines()
    defects = [line for line in said if any(word in line for word in DEFECTS)]
    assert not defects, defects


def tidy(arena: Arena) -> None:
    """Delete every file through the API, and see that nothing is left of them."""
    with arena.client() as client:
        for file in list(listed(client)):
            assert client.delete(f"/v1/files/{file['id']}").status_code == 204
    arena.ledger.acknowledged.clear()
    arena.ledger.unanswered.clear()
    arena.ledger.poison.clear()
    arena.ledger.slowest_seconds = 0.0
    arena.service.wait_until(lambda: not arena.configuration.objects.keys(), "no object is left")


def listed(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        parameters = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/files", params=parameters).json()
        yield from page["items"]
        if (cursor := page["next_cursor"]) is None:
            return


def _check_no_photo_failed(arena: Arena) -> None:
    """Nor any that nobody waited for: 'failed because interrupted' does not exist."""
    with arena.client() as client:
        failed = [file for file in listed(client) if file["status"] != "ready"]
    assert {file["id"] for file in failed} == arena.ledger.poison, failed


def _check_each_upload_made_one_file(arena: Arena) -> None:
    """At most one, that is, for uploads whose answer nobody heard."""
    with arena.client() as client:
        counts = Counter(file["sha256"] for file in listed(client))
    known = set(arena.ledger.acknowledged.values())
    assert set(counts.values()) <= {1}, counts
    assert known <= set(counts) <= known | arena.ledger.unanswered


def _eventually(find_faults: Callable[[], list[str]], what: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_HEAL
    while faults := find_faults():
        assert time.monotonic() < deadline, (what, faults)
        time.sleep(0.2)
