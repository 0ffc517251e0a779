"""Passwords and the addresses they belong to."""

import asyncio
import threading

import pytest

from media_service.auth.emails import normalised_email
from media_service.auth.passwords import Passwords
from media_service.exceptions import ErrorKind, MediaServiceError

PASSWORD = "correct horse battery"


def cheap(*, threads: int = 2, passes: int = 1, max_waiting: int = 100) -> Passwords:
    return Passwords(threads=threads, max_waiting=max_waiting, memory_kib=64, passes=passes)


@pytest.mark.anyio
async def test_password_is_known_again_and_another_is_not():
    passwords = cheap()
    kept = await passwords.hash(PASSWORD)
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept
    assert await passwords.verify(PASSWORD, kept) == (True, None)
    assert await passwords.verify("another", kept) == (False, None)


@pytest.mark.anyio
async def test_hash_with_old_parameters_is_replaced_when_it_is_next_verified():
    kept = await cheap(passes=1).hash(PASSWORD)
    stronger = cheap(passes=2)
    is_right, newer = await stronger.verify(PASSWORD, kept)
    assert is_right
    assert newer is not None
    assert await stronger.verify(PASSWORD, newer) == (True, None)
    assert await stronger.verify("another", kept) == (False, None)


@pytest.mark.anyio
async def test_nobodys_password_is_never_right_and_costs_the_same_work(monkeypatch: pytest.MonkeyPatch):
    passwords = cheap()
    checked: list[str] = []
    real = passwords._hasher.verify_and_update

    def count(password: str, kept: str) -> tuple[bool, str | None]:
        checked.append(kept)
        return real(password, kept)

    monkeypatch.setattr(passwords._hasher, "verify_and_update", count)
    assert await passwords.verify(PASSWORD, None) == (False, None)
    [kept] = checked
    assert kept.split("$")[1:4] == (await passwords.hash(PASSWORD)).split("$")[1:4]


@pytest.mark.anyio
async def test_storm_of_logins_takes_no_more_threads_than_it_may():
    passwords = cheap(threads=2)
    lock = threading.Lock()
    at_work = most = 0

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.005)
        with lock:
            at_work -= 1

    await asyncio.gather(*(passwords._run(work) for _ in range(40)))
    assert most == 2


@pytest.mark.anyio
async def test_who_comes_to_a_full_queue_is_sent_away_and_told_when_to_come_back():
    passwords = cheap(threads=1, max_waiting=3)
    released = threading.Event()
    waiting = [asyncio.create_task(passwords._run(released.wait)) for _ in range(4)]  # one works, three wait
    await asyncio.sleep(0.05)
    with pytest.raises(MediaServiceError) as refusal:
        await passwords.verify(PASSWORD, None)
    released.set()
    assert (refusal.value.kind, refusal.value.code) == (ErrorKind.UNAVAILABLE, "busy")
    assert refusal.value.members == {"retry_after_seconds": 5}
    assert await asyncio.gather(*waiting) == [True] * 4
    assert await passwords.verify(PASSWORD, None) == (False, None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Anna@Example.ORG", "anna@example.org"),
        ("  anna@example.org\n", "anna@example.org"),
        ("\uff21nna@example.org", "anna@example.org"),
        ("ÄNNA@example.org", "änna@example.org"),
        ("anna+tag@example.org", "anna+tag@example.org"),
        ("anna@localhost", "anna@localhost"),
        ("anna", None),
        ("@example.org", None),
        ("anna@", None),
        ("anna@b@c", None),
        ("an na@example.org", None),
        ("anna\x00@example.org", None),
        ("anna\ud800@example.org", None),
        (f"{'a' * 65}@example.org", None),
        (f"anna@{'b' * 250}", None),
    ],
)
def test_address_has_one_spelling(text: str, address: str | None):
    assert normalised_email(text) == address
