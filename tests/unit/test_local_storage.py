"""What only the local storage promises: crash leftovers, full disks, order of fsync, modes, races."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from media_service.storage import local_receipts
from media_service.storage.exceptions import (
    ObjectNotFoundError,
    PartsMismatchError,
    StorageFullError,
    StorageUnavailableError,
)
from media_service.storage.keys import original_key, rendition_key
from media_service.storage.local import LocalStorage

TYPE = "image/png"
MIB = 1024 * 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


@pytest.fixture
def key() -> str:
    return original_key(uuid4())


def put(storage: LocalStorage, key: str, data: bytes = b"data") -> None:
    storage.put(key, data, content_type=TYPE)


def begin(storage: LocalStorage, key: str, *, part_size_bytes: int = 4) -> str:
    return storage.create_upload(key, content_type=TYPE, part_size_bytes=part_size_bytes)


def read(storage: LocalStorage, key: str) -> bytes:
    with storage.open(key) as reader:
        return reader.read(MIB)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """The kernel refuses longer files with EFBIG, after a short write: as a disk that fills up does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def raising(number: int) -> Callable[..., int]:
    def call(*_args: object, **_kwargs: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def test_objects_are_sharded_by_the_end_of_the_id(storage: LocalStorage, root: Path):
    file_id = uuid4()
    shard = str(file_id)[-2:]
    put(storage, original_key(file_id))
    put(storage, rendition_key(file_id, recipe="a" * 16, sha256="b" * 64))
    assert files(root) == [
        f"objects/originals/{shard}/{file_id}",
        f"objects/renditions/{shard}/{file_id}/{'a' * 16}/{'b' * 16}",
    ]


def test_files_are_private(storage: LocalStorage, root: Path, key: str):
    put(storage, key)
    storage.create_upload(key, content_type=TYPE, part_size_bytes=4)
    storage.download(key, root / "download")
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in [root, *root.rglob("*")]}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_delete_leaves_no_empty_directory_below_the_shard(storage: LocalStorage, root: Path):
    file_id = uuid4()
    keys = [rendition_key(file_id, recipe=recipe * 16, sha256="b" * 64) for recipe in "ab"]
    for key in keys:
        put(storage, key)
    storage.delete(keys[:1])
    assert read(storage, keys[1]) == b"data"
    storage.delete(keys[1:])
    assert list((root / "objects/renditions" / str(file_id)[-2:]).iterdir()) == []


def test_crash_in_a_put_leaves_a_file_that_can_be_listed_and_aborted(
    storage: LocalStorage, root: Path, key: str
):
    crash = (
        "import os, sys; from pathlib import Path; from media_service.storage.local import LocalStorage\n"
        "os.rename = lambda *_: os._exit(9)\n"
        "LocalStorage(Path(sys.argv[1])).put(sys.argv[2], b'data', content_type='image/png')"
    )
    ended = subprocess.run([sys.executable, "-c", crash, str(root), key], check=False, timeout=60)
    assert ended.returncode == 9
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)
    (left,) = storage.list_uploads()
    assert left.key == key
    assert abs(datetime.now(UTC) - left.started_at) < timedelta(seconds=60)
    storage.abort_upload(left.key, left.upload_id)
    assert files(root) == []


def test_unfinished_put_takes_no_parts(storage: LocalStorage, root: Path, key: str):
    (root / "partial" / f"put-1-4-0123456789abcdef.{key.replace('/', '.')}").touch()
    (left,) = storage.list_uploads()
    with pytest.raises(ObjectNotFoundError):
        storage.put_part(key, left.upload_id, 1, b"part")


def test_open_uploads_survive_their_process(root: Path, key: str):
    upload_id = begin(LocalStorage(root), key)
    first = LocalStorage(root).put_part(key, upload_id, 1, b"abcd")
    second = LocalStorage(root).put_part(key, upload_id, 2, b"ef")
    LocalStorage(root).complete_upload(key, upload_id, [first, second])
    assert read(LocalStorage(root), key) == b"abcdef"


def test_listed_upload_tells_when_it_began(storage: LocalStorage, key: str):
    upload_id = begin(storage, key)
    (upload,) = storage.list_uploads()
    assert (upload.key, upload.upload_id) == (key, upload_id)
    assert abs(datetime.now(UTC) - upload.started_at) < timedelta(seconds=30)


def test_files_of_others_are_no_uploads(storage: LocalStorage, root: Path):
    (root / "partial" / "lost+found").mkdir()
    (root / "partial" / "notes.txt").touch()
    assert list(storage.list_uploads()) == []


def test_part_to_the_upload_of_another_key_is_not_found(storage: LocalStorage, key: str):
    upload_id = begin(storage, key)
    with pytest.raises(ObjectNotFoundError):
        storage.put_part(original_key(uuid4()), upload_id, 1, b"part")


@pytest.mark.parametrize(
    ("number", "data"), [(0, b"abcd"), (-1, b"abcd"), (1_000_001, b"abcd"), (1, b"abcde")]
)
def test_part_that_would_lie_elsewhere_is_refused(storage: LocalStorage, key: str, number: int, data: bytes):
    upload_id = begin(storage, key)
    with pytest.raises(PartsMismatchError):
        storage.put_part(key, upload_id, number, data)


def test_put_on_a_full_disk_says_so_and_leaves_nothing(storage: LocalStorage, root: Path, key: str):
    put(storage, key, b"before")
    with largest_file(1000), pytest.raises(StorageFullError):
        put(storage, key, bytes(5000))
    assert read(storage, key) == b"before"
    assert list(storage.list_uploads()) == []


def test_put_file_on_a_full_disk_says_so_and_leaves_nothing(storage: LocalStorage, root: Path, key: str):
    (root / "source").write_bytes(bytes(5000))
    with largest_file(1000), pytest.raises(StorageFullError):
        storage.put_file(key, root / "source", content_type=TYPE)
    assert files(root) == ["source"]


def test_put_part_on_a_full_disk_says_so_and_can_be_tried_again(storage: LocalStorage, key: str):
    upload_id = begin(storage, key, part_size_bytes=5000)
    with largest_file(1000), pytest.raises(StorageFullError):
        storage.put_part(key, upload_id, 1, b"x" * 5000)
    storage.complete_upload(key, upload_id, [storage.put_part(key, upload_id, 1, b"x" * 5000)])
    assert read(storage, key) == b"x" * 5000


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EIO, StorageUnavailableError),
        (errno.EROFS, StorageUnavailableError),
    ],
)
def test_os_error_is_translated(
    storage: LocalStorage, key: str, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
):
    monkeypatch.setattr(os, "pwrite", raising(number))
    with pytest.raises(expected) as caught:
        put(storage, key)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(storage.list_uploads()) == []


def test_root_that_is_gone_is_unavailable_and_not_made_again(storage: LocalStorage, root: Path, key: str):
    put(storage, key)
    root.rename(root.with_name("unmounted"))
    with pytest.raises(StorageUnavailableError):
        put(storage, key)
    with pytest.raises(StorageUnavailableError):
        storage.check()
    assert not root.exists()


def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The names and the paths of the calls that make an object durable, in their order."""
    calls: list[tuple[str, str]] = []
    fsync, rename, mkdir = os.fsync, os.rename, os.mkdir

    def record_fsync(fd: int) -> None:
        calls.append(("fsync", str(Path(f"/proc/self/fd/{fd}").readlink())))
        fsync(fd)

    def record_rename(source: str, target: str) -> None:
        rename(source, target)
        calls.append(("rename", target))

    def record_mkdir(path: str, mode: int) -> None:
        mkdir(path, mode)
        calls.append(("mkdir", path))

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    monkeypatch.setattr(os, "mkdir", record_mkdir)
    return calls


def test_put_syncs_the_file_then_renames_then_syncs_every_directory(
    storage: LocalStorage, root: Path, key: str, monkeypatch: pytest.MonkeyPatch
):
    calls = recorded_calls(monkeypatch)
    put(storage, key)
    shard = root / "objects" / "originals" / key[-2:]
    assert calls[0][0] == "fsync"
    assert "/partial/put-" in calls[0][1]
    assert calls[1:] == [
        ("mkdir", str(shard.parent)),
        ("fsync", str(root / "objects")),
        ("mkdir", str(shard)),
        ("fsync", str(shard.parent)),
        ("rename", str(shard / key.split("/")[1])),
        ("fsync", str(shard)),
    ]


def test_complete_syncs_the_file_then_renames_then_syncs_the_directory(
    storage: LocalStorage, root: Path, key: str, monkeypatch: pytest.MonkeyPatch
):
    put(storage, key)
    upload_id = begin(storage, key)
    receipt = storage.put_part(key, upload_id, 1, b"part")
    calls = recorded_calls(monkeypatch)
    storage.complete_upload(key, upload_id, [receipt])
    shard = root / "objects" / "originals" / key[-2:]
    assert [name for name, _ in calls] == ["fsync", "rename", "fsync"]
    assert f"/partial/{upload_id}" in calls[0][1]
    assert calls[2][1] == str(shard)


def test_complete_after_a_failed_fsync_cannot_succeed_at_a_second_try(
    storage: LocalStorage, key: str, monkeypatch: pytest.MonkeyPatch
):
    upload_id = begin(storage, key)
    receipt = storage.put_part(key, upload_id, 1, b"part")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", raising(errno.EIO))
        with pytest.raises(StorageUnavailableError):
            storage.complete_upload(key, upload_id, [receipt])
    with pytest.raises(ObjectNotFoundError):
        storage.complete_upload(key, upload_id, [receipt])


@pytest.mark.parametrize("hole", [b"", b"\0\0\0\0"])
def test_part_that_a_power_cut_took_is_found_missing(
    storage: LocalStorage, root: Path, key: str, monkeypatch: pytest.MonkeyPatch, hole: bytes
):
    upload_id = begin(storage, key)
    receipts = [storage.put_part(key, upload_id, number, b"data") for number in (1, 2)]
    monkeypatch.setattr(local_receipts, "BOOT", "newboot0")
    (partial,) = (root / "partial").iterdir()
    partial.write_bytes(b"data" + hole)
    with pytest.raises(PartsMismatchError):
        storage.complete_upload(key, upload_id, receipts)
    storage.complete_upload(key, upload_id, [receipts[0], storage.put_part(key, upload_id, 2, b"data")])
    assert read(storage, key) == b"datadata"


def test_part_that_is_late_cannot_alter_the_finished_object(
    storage: LocalStorage, key: str, monkeypatch: pytest.MonkeyPatch
):
    """A writer that opened the upload before it was completed writes before that, or not at all."""
    upload_id = begin(storage, key)
    receipt = storage.put_part(key, upload_id, 1, b"good")
    writing, pwrite = threading.Event(), os.pwrite
    outcome: list[str] = []

    def slow_pwrite(fd: int, data: bytes, offset: int) -> int:
        writing.set()
        completer.join(0.3)  # the complete must wait for us, so this always runs into its timeout
        outcome.append("written")
        return pwrite(fd, data, offset)

    def complete() -> None:
        writing.wait()
        storage.complete_upload(key, upload_id, [receipt])
        outcome.append("completed")

    completer = threading.Thread(target=complete)
    completer.start()
    monkeypatch.setattr(os, "pwrite", slow_pwrite)
    storage.put_part(key, upload_id, 1, b"late")
    completer.join()
    assert outcome == ["written", "completed"]


def test_file_truncated_under_a_reader_raises(storage: LocalStorage, root: Path, key: str):
    put(storage, key, b"0123456789")
    with storage.open(key) as reader:
        reader.read(4)
        os.truncate(root / files(root)[0], 4)
        with pytest.raises(StorageUnavailableError):
            reader.read(4)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL])
def test_copy_without_help_of_the_kernel_is_byte_exact(
    storage: LocalStorage, root: Path, key: str, monkeypatch: pytest.MonkeyPatch, number: int
):
    monkeypatch.setattr(os, "copy_file_range", raising(number))
    data = os.urandom(3 * MIB + 1)
    (root / "source").write_bytes(data)
    storage.put_file(key, root / "source", content_type=TYPE)
    storage.download(key, root / "target")
    assert (root / "target").read_bytes() == data


def test_copy_that_the_kernel_ends_early_is_completed(
    storage: LocalStorage, root: Path, key: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    (root / "source").write_bytes(b"data")
    storage.put_file(key, root / "source", content_type=TYPE)
    assert read(storage, key) == b"data"
