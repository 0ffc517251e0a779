"""The storage as the event loop sees it, when its calls do not come back."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from media_service.storage import aio
from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.memory import MemoryStorage

PATIENCE_SECONDS = 0.2


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What a call may wait for that never comes, as long as the test runs."""
    monkeypatch.setattr(aio, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    released = threading.Event()
    yield released
    released.set()


def test_call_that_hangs_is_unavailable_when_patience_ends(hang: threading.Event):
    async def scenario() -> float:
        storage = AsyncStorage(MemoryStorage(), concurrency=1)
        started = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            await storage.run(hang.wait)
        hang.set()
        return time.monotonic() - started

    assert PATIENCE_SECONDS <= asyncio.run(scenario()) < PATIENCE_SECONDS + 2


def test_large_call_may_take_longer_than_a_small_one(hang: threading.Event):
    async def scenario() -> bool:
        storage = AsyncStorage(MemoryStorage(), concurrency=1)
        call = asyncio.create_task(storage.run(hang.wait, more_seconds=10))
        await asyncio.sleep(2 * PATIENCE_SECONDS)
        hang.set()
        return await call

    assert asyncio.run(scenario())


@pytest.mark.parametrize("how", ["patience", "cancelled"])
def test_call_that_found_no_thread_in_time_never_happens(hang: threading.Event, how: str):
    happened = threading.Event()

    async def scenario() -> None:
        storage = AsyncStorage(MemoryStorage(), concurrency=1)
        first = asyncio.create_task(storage.run(hang.wait))
        await asyncio.sleep(0)
        second = asyncio.create_task(storage.run(happened.set))
        if how == "cancelled":
            await asyncio.sleep(PATIENCE_SECONDS / 4)
            second.cancel()
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(result) for result in results] == [
            StorageUnavailableError,
            asyncio.CancelledError if how == "cancelled" else StorageUnavailableError,
        ]
        hang.set()
        await storage.run(lambda: None)

    asyncio.run(scenario())
    assert not happened.is_set()


def test_thread_that_goes_on_for_nobody_still_counts(hang: threading.Event):
    """Else each request to a storage that hangs would leave one more thread."""

    async def scenario() -> int:
        storage = AsyncStorage(MemoryStorage(), concurrency=2)
        before = threading.active_count()
        for _ in range(4):
            await asyncio.gather(*(storage.run(hang.wait) for _ in range(4)), return_exceptions=True)
        grown = threading.active_count() - before
        hang.set()
        return grown

    assert asyncio.run(scenario()) <= 2
