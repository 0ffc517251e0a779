"""Faults at random, one after the other, while clients upload, read and delete: nothing lost or doubled."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest

from tests.support import s3_proxy
from tests.support.arena import POINTS, SECONDS_TO_HEAL, Arena, stopped
from tests.support.invariants import wait_until_settled

CLIENTS = 4
MIB = 1024 * 1024
FAULT_SECONDS = (0.5, 3.0)
CALM_SECONDS = (0.5, 3.0)
"""Between faults: less and nothing would ever get done, more and few faults fit into a soak."""

Change = Callable[[Arena, random.Random], None]


def _kill(role: str) -> Change:
    def kill(arena: Arena, chance: random.Random) -> None:
        with suppress(ProcessLookupError):
            arena.service.kill(role)

    return kill


def _stop(role: str) -> Change:
    def stop(arena: Arena, chance: random.Random) -> None:
        pid = arena.service.pids.get(role)
        if pid is not None:
            with suppress(ProcessLookupError), stopped(pid):
                time.sleep(chance.uniform(*FAULT_SECONDS) * 2)

    return stop


def _kill_child(arena: Arena, chance: random.Random) -> None:
    for child in arena.sandbox_children():
        with suppress(Exception):
            child.kill()


def _wait_and_heal(arena: Arena, chance: random.Random) -> None:
    time.sleep(chance.uniform(*FAULT_SECONDS))
    arena.heal()


def _database(method: str) -> Change:
    def break_it(arena: Arena, chance: random.Random) -> None:
        getattr(arena.database, method)()
        _wait_and_heal(arena, chance)

    return break_it


def _redis(method: str) -> Change:
    def break_it(arena: Arena, chance: random.Random) -> None:
        getattr(arena.redis, method)()
        _wait_and_heal(arena, chance)

    return break_it


def _forget(arena: Arena, chance: random.Random) -> None:
    assert arena.valkey is not None
    arena.valkey.kill()
    arena.valkey.start()


S3_FAULTS = (
    s3_proxy.status(503, "SlowDown"),
    s3_proxy.status(500, "InternalError"),
    s3_proxy.status(429, "TooManyRequests"),
    s3_proxy.reset,
    s3_proxy.hang,
    s3_proxy.lose_answer,
    s3_proxy.error_in_200,
    s3_proxy.truncate,
)
"""Altered bytes are not among them: they are found by workers, but no digest is computed for a download."""

S3_OPERATIONS = ("put", "create_upload", "put_part", "complete_upload", "open", "delete", "abort_upload")


def _s3(arena: Arena, chance: random.Random) -> None:
    assert arena.s3 is not None
    operation, fault = chance.choice(S3_OPERATIONS), chance.choice(S3_FAULTS)
    if fault is s3_proxy.truncate:
        operation = "open"
    elif fault is s3_proxy.error_in_200:
        operation = "complete_upload"
    arena.s3.inject(operation, fault=fault, times=chance.choice((1, 2, 5, 1000)))
    _wait_and_heal(arena, chance)


def _arm(arena: Arena, chance: random.Random) -> None:
    arena.arm(chance.choice(POINTS))


ANYWHERE: dict[str, Change] = {
    **{f"SIGKILL {role}": _kill(role) for role in ("api", "worker", "dispatcher")},
    **{f"SIGSTOP {role}": _stop(role) for role in ("api", "worker", "dispatcher")},
    "SIGKILL child": _kill_child,
    "fault point": _arm,
}
EMBEDDED: dict[str, Change] = {"SIGKILL redis": _kill("redis"), "SIGSTOP redis": _stop("redis")}
SCALED_OUT: dict[str, Change] = {
    "database down": _database("go_down"),
    "database hangs": _database("hang"),
    "database reset": _database("reset"),
    "redis down": _redis("go_down"),
    "redis hangs": _redis("hang"),
    "redis forgets": _forget,
    "S3": _s3,
}


class Client:
    """One that goes on whatever it is told; it touches no file of another."""

    def __init__(self, arena: Arena, name: str, chance: random.Random) -> None:
        self.outcomes: Counter[str] = Counter()
        self._arena = arena
        self._name = name
        self._chance = chance
        self._mine: dict[str, str] = {}
        """Digests by id."""
        self._count = 0

    def live(self, over: threading.Event) -> None:
        """Raises AssertionError for whatever must not be."""
        with self._arena.client() as client:
            while not over.is_set():
                act = self._chance.choice((self._upload, self._upload, self._repeat, self._large, self._read))
                if len(self._mine) > 20:
                    act = self._delete
                self.outcomes[act(client)] += 1

    def _label(self) -> str:
        self._count += 1
        return f"{self._name}-{self._count}"

    def _upload(self, client: httpx2.Client) -> str:
        return self._note("photo", self._arena.upload(client, self._label()))

    def _large(self, client: httpx2.Client) -> str:
        body = self._label().encode() + bytes(self._chance.randint(1, 12) * MIB)
        return self._note("large file", self._arena.post(client, "large.bin", body))

    def _repeat(self, client: httpx2.Client) -> str:
        """Send a photo until there is an answer that is final, as its Idempotency-Key allows."""
        label, deadline = self._label(), time.monotonic() + 2 * SECONDS_TO_HEAL
        while time.monotonic() < deadline:
            answer = self._arena.upload(client, label, **{"Idempotency-Key": label})
            if answer is not None and answer.status_code == 201:
                return self._note("repeated photo", answer)
            time.sleep(0.2)
        raise AssertionError(f"{label} was never taken\n{self._arena.service.log_tail}")

    def _read(self, client: httpx2.Client) -> str:
        """What is read is what was sent, or an error."""
        if not self._mine:
            return "read of nothing"
        file_id, digest = self._chance.choice(list(self._mine.items()))
        try:
            answer = client.get(f"/v1/files/{file_id}/content")
        except httpx2.TransportError:
            return "read broken off"
        if answer.status_code == 200:
            assert hashlib.sha256(answer.content).hexdigest() == digest
        else:
            assert answer.status_code == 503, answer.text
        return f"read {answer.status_code}"

    def _delete(self, client: httpx2.Client) -> str:
        file_id, digest = self._mine.popitem()
        del self._arena.ledger.acknowledged[file_id]
        self._arena.ledger.unanswered.add(digest)  # until it is known to be deleted, either is right
        try:
            answer = client.delete(f"/v1/files/{file_id}")
        except httpx2.TransportError:
            return "delete broken off"
        assert answer.status_code in {204, 503}, answer.text
        if answer.status_code == 204:
            self._arena.ledger.unanswered.discard(digest)
        return f"delete {answer.status_code}"

    def _note(self, what: str, answer: httpx2.Response | None) -> str:
        if answer is None:
            return f"{what} broken off"
        assert answer.status_code in {201, 503}, answer.text
        if answer.status_code == 201:
            file = answer.json()["items"][0]
            self._mine[file["id"]] = file["sha256"]
        return f"{what} {answer.status_code}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.fault("soak", "all of these at random, under load", "nothing lost, nothing done twice")
def test_soak(arena: Arena, request: pytest.FixtureRequest):
    seconds: float = request.config.getoption("--soak-seconds")
    seed: int = request.config.getoption("--soak-seed") or random.randrange(10**6)
    print(f"soak of {seconds:g} s with the seed {seed}")
    chance, over = random.Random(seed), threading.Event()
    clients = [Client(arena, f"{seed}-{n}", random.Random(f"{seed} {n}")) for n in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        living = [pool.submit(client.live, over) for client in clients]
        try:
            faults = _break_things(arena, chance, time.monotonic() + seconds, living)
        finally:
            arena.heal()
            over.set()
        for client in living:
            client.result()
    arena.service.wait_until_ready()
    arena.wait_until_ready(list(arena.ledger.acknowledged), seconds=2 * SECONDS_TO_HEAL)
    outcomes = sum((client.outcomes for client in clients), Counter[str]())
    # Every deleted file left a job, and a soak of ten minutes deletes thousands.
    wait_until_settled(arena.configuration, timeout_seconds=seconds + 60)
    request.node.user_properties.append(("soak", _report(seconds, seed, faults, outcomes)))


def _break_things(
    arena: Arena, chance: random.Random, deadline: float, living: list[Future[None]]
) -> Counter[str]:
    """One fault after the other until the deadline, or until a client has found something wrong."""
    changes = {**ANYWHERE, **(EMBEDDED if arena.is_embedded else SCALED_OUT)}
    done: Counter[str] = Counter()
    while time.monotonic() < deadline and not any(client.done() for client in living):
        name = chance.choice(sorted(changes))
        changes[name](arena, chance)
        done[name] += 1
        time.sleep(chance.uniform(*CALM_SECONDS))
    return done


def _report(seconds: float, seed: int, faults: Counter[str], outcomes: Counter[str]) -> str:
    """Two lines for the page of faults."""
    done = ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))
    seen = ", ".join(f"{name}: {count}" for name, count in sorted(outcomes.items()))
    return (
        f"{seconds:g} s, seed {seed}. {faults.total()} faults: {done}. {outcomes.total()} requests: {seen}."
    )
