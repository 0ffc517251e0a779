"""What uploads hold in memory: never more than the limit, spilled beyond it, and nothing in the end."""

import asyncio
import hashlib
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from media_service.storage.aio import AsyncStorage
from media_service.storage.exceptions import StorageFullError, StorageUnavailableError
from media_service.storage.memory import MemoryStorage
from media_service.storage.part_writer import PartWriter, WrittenBlob
from media_service.storage.port import Storage
from media_service.storage.upload_memory import UploadMemory
from tests.support.storages import BlockedStorage, RaisingStorage

pytestmark = pytest.mark.anyio

KEY = "originals/0/a"
PART = MemoryStorage.part_limits.preferred_bytes
SIZES = {"nothing": 0, "a byte": 1, "a part": PART, "a part and a byte": PART + 1, "many parts": 5 * PART + 7}


class Hook:
    """An upload that needs no claim."""

    async def before_create(self) -> None:
        pass

    async def created(self, storage_upload_id: str) -> None:
        pass


class WatchedMemory(UploadMemory):
    """Remembers the most that was held."""

    highest = 0

    def take(self, size_bytes: int) -> bool:
        taken = super().take(size_bytes)
        self.highest = max(self.highest, self.held_bytes)
        return taken


@pytest.fixture
def make_memory(tmp_path: Path) -> Callable[[int], WatchedMemory]:
    return lambda limit_bytes: WatchedMemory(limit_bytes=limit_bytes, spill_dir=tmp_path)


@pytest.fixture(autouse=True)
def _nothing_stays_on_disk(tmp_path: Path) -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() - before == set()
    assert list(tmp_path.iterdir()) == []


def open_files() -> set[str]:
    """Files without a name that this process has open, each by its descriptor."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(entry.readlink())
            if target.endswith("(deleted)"):
                found.add(f"{entry.name} {target}")
    return found


def writer(storage: Storage, memory: UploadMemory) -> PartWriter:
    return PartWriter(
        AsyncStorage(storage, concurrency=4),
        KEY,
        content_type="text/plain",
        part_size_bytes=PART,
        memory=memory,
        hook=Hook(),
    )


async def write_all(upload: PartWriter, data: bytes) -> WrittenBlob:
    for start in range(0, len(data), 5000):
        await upload.write(data[start : start + 5000])
    return await upload.finish()


@pytest.mark.parametrize("limit_bytes", [0, 7000, PART, 100 * PART])
@pytest.mark.parametrize("size", SIZES)
async def test_bytes_are_the_same_wherever_they_grew(
    make_memory: Callable[[int], WatchedMemory], size: str, limit_bytes: int
):
    data = os.urandom(SIZES[size])
    storage, memory = MemoryStorage(), make_memory(limit_bytes)
    blob = await write_all(writer(storage, memory), data)
    assert blob == WrittenBlob(len(data), hashlib.sha256(data).hexdigest())
    with storage.open(KEY) as reader:
        assert reader.read(len(data) + 1) == data
    assert memory.held_bytes == 0
    assert memory.highest <= limit_bytes


async def test_uploads_share_one_limit_and_all_of_them_end_well(make_memory: Callable[[int], WatchedMemory]):
    storages = [MemoryStorage() for _ in range(20)]
    memory = make_memory(3 * PART)
    data = os.urandom(3 * PART)
    async with asyncio.TaskGroup() as group:
        for storage in storages:
            group.create_task(write_all(writer(storage, memory), data))
    for storage in storages:
        with storage.open(KEY) as reader:
            assert reader.read(len(data) + 1) == data
    assert PART < memory.highest <= 3 * PART
    assert memory.held_bytes == 0


async def test_upload_that_waits_holds_nothing_that_another_needs(
    make_memory: Callable[[int], WatchedMemory],
):
    memory = make_memory(PART)
    idle = [writer(MemoryStorage(), memory) for _ in range(50)]
    for upload in idle:
        await upload.write(bytes(PART // 2))
    with anyio.fail_after(20):
        await write_all(writer(MemoryStorage(), memory), os.urandom(10 * PART))
    for upload in idle:
        await upload.abort()
    assert memory.held_bytes == 0


@pytest.mark.parametrize("limit_bytes", [0, 100 * PART])
@pytest.mark.parametrize("written", [1, PART, 3 * PART + 1])
async def test_abort_gives_everything_back(
    make_memory: Callable[[int], WatchedMemory], written: int, limit_bytes: int
):
    memory, storage = make_memory(limit_bytes), MemoryStorage()
    upload = writer(storage, memory)
    await upload.write(bytes(written))
    await upload.abort()
    assert memory.held_bytes == 0
    assert list(storage.list_uploads()) == []


@pytest.mark.parametrize("limit_bytes", [0, 100 * PART])
@pytest.mark.parametrize(("method", "size_bytes"), [("put", 10), ("put_part", 5 * PART)])
async def test_storage_that_fails_gives_everything_back(
    make_memory: Callable[[int], WatchedMemory], method: str, size_bytes: int, limit_bytes: int
):
    memory = make_memory(limit_bytes)
    storage: Any = RaisingStorage(MemoryStorage(), method, error=StorageUnavailableError())
    upload = writer(storage, memory)
    with pytest.raises(StorageUnavailableError):
        await write_all(upload, bytes(size_bytes))
    await upload.abort()
    assert memory.held_bytes == 0


@pytest.mark.parametrize("limit_bytes", [0, 100 * PART])
async def test_cancellation_while_the_storage_hangs_gives_everything_back(
    make_memory: Callable[[int], WatchedMemory], limit_bytes: int
):
    memory = make_memory(limit_bytes)
    storage: Any = BlockedStorage(MemoryStorage())
    upload = writer(storage, memory)
    writing = asyncio.create_task(write_all(upload, bytes(10 * PART)))
    with anyio.fail_after(20):
        while storage.bytes_taken < 2 * PART:  # noqa: ASYNC110 - a thread has no event for us
            await anyio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    storage.released.set()
    await upload.abort()
    assert memory.held_bytes == 0


@contextmanager
def full_disk(limit_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond a limit: EFBIG, which the service takes as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_full_disk_is_an_error_that_leaves_nothing(make_memory: Callable[[int], WatchedMemory]):
    memory, storage = make_memory(6000), MemoryStorage()
    upload = writer(storage, memory)
    with full_disk(20_000), pytest.raises(StorageFullError):
        await write_all(upload, bytes(PART))
    await upload.abort()
    assert memory.held_bytes == 0
    assert list(storage.list_objects("originals/")) == []
