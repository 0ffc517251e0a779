"""The contract of the Storage port: every storage passes all of it."""

import hashlib
import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.storage.exceptions import (
    ObjectNotFoundError,
    PartsMismatchError,
    StorageError,
    StorageUnavailableError,
)
from media_service.storage.keys import original_key, rendition_key, renditions_prefix
from media_service.storage.port import Bytes, PartReceipt, Storage

TYPE = "application/octet-stream"
MIB = 1024 * 1024
MISSING_KEYS = ["originals/00000000-0000-0000-0000-000000000000", "renditions/a/b/c"]
BAD_KEYS = [
    "",
    "originals",
    "originals/",
    "/originals/a",
    "originals//a",
    "originals/../a",
    "originals/a/..",
    "originals/A",
    "originals/a.b",
    "originals/a\n",
    "originals/ä",
    "other/a",
    "originals/" + "a" * 65,
]


@pytest.fixture
def key() -> str:
    return original_key(uuid4())


def part_size(storage: Storage) -> int:
    return max(storage.part_limits.min_bytes, 64 * 1024)


def put(storage: Storage, key: str, data: Bytes) -> None:
    storage.put(key, data, content_type=TYPE)


def get(storage: Storage, key: str, *, start: int = 0, size_bytes: int | None = None) -> bytes:
    with storage.open(key, start=start, size_bytes=size_bytes) as reader:
        data = b""
        while chunk := reader.read(MIB):
            data += chunk
        assert reader.size_bytes == len(data)
        return data


def begin(storage: Storage, key: str) -> str:
    return storage.create_upload(key, content_type=TYPE, part_size_bytes=part_size(storage))


def put_parts(storage: Storage, key: str, upload_id: str, parts: Sequence[bytes]) -> list[PartReceipt]:
    return [storage.put_part(key, upload_id, number, part) for number, part in enumerate(parts, start=1)]


def open_upload_ids(storage: Storage, key: str) -> list[str]:
    return [upload.upload_id for upload in storage.list_uploads() if upload.key == key]


def test_put_object_is_read_back(storage: Storage, key: str):
    put(storage, key, b"some bytes")
    assert get(storage, key) == b"some bytes"


@pytest.mark.parametrize("as_bytes", [bytes, bytearray, memoryview])
def test_put_and_put_part_take_any_bytes(storage: Storage, key: str, as_bytes: type[Bytes]):
    put(storage, key, as_bytes(b"some bytes"))
    other = original_key(uuid4())
    upload_id = begin(storage, other)
    storage.complete_upload(other, upload_id, [storage.put_part(other, upload_id, 1, as_bytes(b"a part"))])
    assert (get(storage, key), get(storage, other)) == (b"some bytes", b"a part")


def test_bytes_changed_after_put_do_not_change_the_object(storage: Storage, key: str):
    data = bytearray(b"before")
    put(storage, key, data)
    data[:] = b"after!"
    assert get(storage, key) == b"before"


def test_put_replaces_an_object_also_by_a_shorter_one(storage: Storage, key: str):
    put(storage, key, b"a long first version")
    put(storage, key, b"short")
    assert get(storage, key) == b"short"


def test_reader_opened_before_a_replacement_gives_one_whole_version(storage: Storage, key: str):
    put(storage, key, b"1" * MIB)
    with storage.open(key) as reader:
        head = reader.read(10)
        put(storage, key, b"2" * MIB)
        rest = b"".join(iter(lambda: reader.read(MIB), b""))
    assert head + rest == b"1" * MIB


def test_empty_object_is_an_object(storage: Storage, key: str):
    put(storage, key, b"")
    assert storage.head(key).size_bytes == 0
    assert get(storage, key) == b""


def test_rendition_keys_are_objects_too(storage: Storage):
    key = rendition_key(uuid4(), recipe="0123456789abcdef", sha256="f" * 64)
    put(storage, key, b"rendition")
    assert get(storage, key) == b"rendition"


@pytest.mark.parametrize(
    ("start", "size_bytes", "expected"),
    [
        (0, 3, b"012"),
        (4, 3, b"456"),
        (9, 1, b"9"),
        (0, 10, b"0123456789"),
        (4, None, b"456789"),
        (0, 0, b""),
        (5, 0, b""),
        (10, 0, b""),
        (10, None, b""),
    ],
)
def test_range_gives_exactly_its_bytes(
    storage: Storage, key: str, start: int, size_bytes: int | None, expected: bytes
):
    put(storage, key, b"0123456789")
    assert get(storage, key, start=start, size_bytes=size_bytes) == expected


@pytest.mark.parametrize(("start", "size_bytes"), [(0, 11), (9, 2), (11, None), (11, 0), (12, 3)])
def test_range_beyond_the_end_is_refused(storage: Storage, key: str, start: int, size_bytes: int | None):
    put(storage, key, b"0123456789")
    with pytest.raises(StorageUnavailableError):
        storage.open(key, start=start, size_bytes=size_bytes)


def test_reader_gives_at_most_what_was_asked_and_ends_with_nothing(storage: Storage, key: str):
    data = os.urandom(100_000)
    put(storage, key, data)
    random_sizes = random.Random(1)
    with storage.open(key) as reader:
        chunks = []
        while chunk := reader.read(limit := random_sizes.randint(1, 7000)):
            assert len(chunk) <= limit
            chunks.append(chunk)
        assert reader.read(10) == b""
    assert b"".join(chunks) == data


def test_reader_may_be_closed_early_and_twice(storage: Storage, key: str):
    put(storage, key, os.urandom(2 * MIB))
    reader = storage.open(key)
    reader.read(1)
    reader.close()
    reader.close()
    assert len(get(storage, key)) == 2 * MIB


def test_head_tells_key_size_and_time(storage: Storage, key: str):
    put(storage, key, b"12345")
    stored = storage.head(key)
    assert (stored.key, stored.size_bytes) == (key, 5)
    assert abs(datetime.now(UTC) - stored.modified_at) < timedelta(seconds=30)


@pytest.mark.parametrize("missing", MISSING_KEYS)
def test_missing_object_is_not_found(storage: Storage, tmp_path: Path, missing: str):
    for call in (
        lambda: storage.head(missing),
        lambda: storage.open(missing),
        lambda: storage.open(missing, start=3),
        lambda: storage.open(missing, start=0, size_bytes=0),
        lambda: storage.download(missing, tmp_path / "download"),
    ):
        with pytest.raises(ObjectNotFoundError) as caught:
            call()
        assert (caught.value.kind, caught.value.key) == (ErrorKind.NOT_FOUND, missing)
        assert missing not in caught.value.detail


def test_deleted_object_is_not_found_and_deleting_again_is_no_error(storage: Storage, key: str):
    other = original_key(uuid4())
    put(storage, key, b"1")
    put(storage, other, b"2")
    storage.delete([key])
    storage.delete([key, original_key(uuid4())])
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)
    assert get(storage, other) == b"2"


def test_delete_takes_more_keys_than_one_request_holds(storage: Storage, key: str):
    put(storage, key, b"1")
    storage.delete([*(original_key(uuid4()) for _ in range(1100)), key])
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)


def test_delete_of_nothing_is_no_error(storage: Storage):
    storage.delete([])


def test_object_can_be_put_again_after_its_directory_went(storage: Storage):
    key = rendition_key(uuid4(), recipe="0123456789abcdef", sha256="f" * 64)
    for data in (b"1", b"2"):
        put(storage, key, data)
        assert get(storage, key) == data
        storage.delete([key])


def test_list_objects_gives_what_has_the_prefix(storage: Storage, key: str):
    file_id = uuid4()
    first = rendition_key(file_id, recipe="a" * 16, sha256="1" * 64)
    second = rendition_key(file_id, recipe="b" * 16, sha256="2" * 64)
    other = rendition_key(uuid4(), recipe="a" * 16, sha256="1" * 64)
    for name in (first, second, other, key):
        put(storage, name, name.encode())
    found = {stored.key: stored for stored in storage.list_objects(renditions_prefix(file_id))}
    assert set(found) == {first, second}
    assert found[first].size_bytes == len(first)
    assert found[first].modified_at.tzinfo is not None
    assert {first, second, other} <= {stored.key for stored in storage.list_objects("renditions/")}
    assert [stored.key for stored in storage.list_objects(key)] == [key]
    assert [stored.key for stored in storage.list_objects(f"{first.rpartition('/')[0]}/")] == [first]


def test_list_objects_of_a_prefix_without_objects_is_empty(storage: Storage):
    assert list(storage.list_objects(renditions_prefix(uuid4()))) == []
    assert list(storage.list_objects(original_key(uuid4()))) == []


def test_listed_objects_may_be_deleted_on_the_way(storage: Storage):
    file_id = uuid4()
    for digest in ("1", "2", "3"):
        put(storage, rendition_key(file_id, recipe="a" * 16, sha256=digest * 64), b"x")
    for stored in storage.list_objects(renditions_prefix(file_id)):
        storage.delete([stored.key])
    assert list(storage.list_objects(renditions_prefix(file_id))) == []


def test_parts_in_order_make_the_object(storage: Storage, key: str):
    parts = [os.urandom(part_size(storage)), os.urandom(part_size(storage)), os.urandom(777)]
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, parts)
    assert [(r.number, r.size_bytes) for r in receipts] == [(n, len(p)) for n, p in enumerate(parts, 1)]
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)
    storage.complete_upload(key, upload_id, receipts)
    assert get(storage, key) == b"".join(parts)


def test_parts_out_of_order_and_at_once_make_the_object(storage: Storage, key: str):
    parts = [os.urandom(part_size(storage)) for _ in range(4)] + [b"tail"]
    upload_id = begin(storage, key)
    with ThreadPoolExecutor(5) as pool:
        receipts = list(
            pool.map(lambda n: storage.put_part(key, upload_id, n, parts[n - 1]), [5, 2, 4, 1, 3])
        )
    storage.complete_upload(key, upload_id, sorted(receipts, key=lambda receipt: receipt.number))
    assert get(storage, key) == b"".join(parts)


def test_part_put_again_replaces_the_first(storage: Storage, key: str):
    upload_id = begin(storage, key)
    storage.put_part(key, upload_id, 1, b"a longer first attempt")
    receipt = storage.put_part(key, upload_id, 1, b"second")
    storage.complete_upload(key, upload_id, [receipt])
    assert get(storage, key) == b"second"


def test_completed_upload_replaces_an_object(storage: Storage, key: str):
    put(storage, key, b"old")
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"new!"])
    assert get(storage, key) == b"old"
    storage.complete_upload(key, upload_id, receipts)
    assert get(storage, key) == b"new!"


def test_second_complete_succeeds(storage: Storage, key: str):
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"part"])
    storage.complete_upload(key, upload_id, receipts)
    storage.complete_upload(key, upload_id, receipts)
    assert get(storage, key) == b"part"


def test_two_completes_at_once_succeed(storage: Storage, key: str):
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"part"])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: storage.complete_upload(key, upload_id, receipts), range(2)))
    assert get(storage, key) == b"part"


def test_complete_of_an_aborted_upload_is_not_found(storage: Storage, key: str):
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"part"])
    storage.abort_upload(key, upload_id)
    with pytest.raises(ObjectNotFoundError):
        storage.complete_upload(key, upload_id, receipts)


def test_complete_with_parts_that_do_not_fit_is_refused_and_leaves_the_upload_open(
    storage: Storage, key: str
):
    size = part_size(storage)
    upload_id = begin(storage, key)
    first, second = put_parts(storage, key, upload_id, [b"1" * size, b"2" * size])
    never_sent = PartReceipt(3, 10, "0123456789abcdef0123456789abcdef")
    short = PartReceipt(1, size - 1, first.etag)
    for parts in (
        [],
        [second],
        [second, first],
        [first, first],
        [short, second],
        [first, second, never_sent],
    ):
        with pytest.raises(PartsMismatchError):
            storage.complete_upload(key, upload_id, parts)
    storage.complete_upload(key, upload_id, [first, second])
    assert storage.head(key).size_bytes == 2 * size


@pytest.mark.parametrize("upload_id", ["unknown", "../../objects", "put-1-0-0123456789abcdef", "a/b", "\n"])
def test_unknown_upload_is_not_found_and_may_be_aborted(storage: Storage, key: str, upload_id: str):
    with pytest.raises(ObjectNotFoundError):
        storage.put_part(key, upload_id, 1, b"part")
    with pytest.raises(ObjectNotFoundError):
        storage.complete_upload(key, upload_id, [PartReceipt(1, 4, "etag")])
    storage.abort_upload(key, upload_id)


def test_part_to_a_finished_upload_is_not_found(storage: Storage, key: str):
    upload_id = begin(storage, key)
    storage.complete_upload(key, upload_id, put_parts(storage, key, upload_id, [b"part"]))
    with pytest.raises(ObjectNotFoundError):
        storage.put_part(key, upload_id, 1, b"late")
    assert get(storage, key) == b"part"


def test_aborted_upload_leaves_nothing_and_aborting_again_is_no_error(storage: Storage, key: str):
    upload_id = begin(storage, key)
    storage.put_part(key, upload_id, 1, b"part")
    storage.abort_upload(key, upload_id)
    storage.abort_upload(key, upload_id)
    assert open_upload_ids(storage, key) == []
    with pytest.raises(ObjectNotFoundError):
        storage.head(key)


def test_forked_upload_begins_with_the_parts_of_the_old_one(storage: Storage, key: str):
    size, new_key = part_size(storage), original_key(uuid4())
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"1" * size, b"2" * size, b"unconfirmed"])
    fork = storage.fork_upload(key, upload_id, receipts[:2], new_key=new_key, part_size_bytes=size)
    last = storage.put_part(new_key, fork.upload_id, 3, b"3")
    storage.complete_upload(new_key, fork.upload_id, [*fork.parts, last])
    assert get(storage, new_key) == b"1" * size + b"2" * size + b"3"
    storage.abort_upload(key, upload_id)
    storage.delete([key])
    assert open_upload_ids(storage, key) == open_upload_ids(storage, new_key) == []


def test_late_part_of_the_old_upload_does_not_reach_the_fork(storage: Storage, key: str):
    size, new_key = part_size(storage), original_key(uuid4())
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"1" * size])
    fork = storage.fork_upload(key, upload_id, receipts, new_key=new_key, part_size_bytes=size)
    ours = storage.put_part(new_key, fork.upload_id, 2, b"ours")
    with suppress(StorageError):
        storage.put_part(key, upload_id, 2, b"late")
    storage.complete_upload(new_key, fork.upload_id, [*fork.parts, ours])
    assert get(storage, new_key) == b"1" * size + b"ours"


def test_upload_can_be_forked_again_when_the_first_answer_was_lost(storage: Storage, key: str):
    size = part_size(storage)
    upload_id = begin(storage, key)
    receipts = put_parts(storage, key, upload_id, [b"1" * size])
    forks = [original_key(uuid4()) for _ in range(2)]
    for new_key in forks:
        fork = storage.fork_upload(key, upload_id, receipts, new_key=new_key, part_size_bytes=size)
        storage.complete_upload(new_key, fork.upload_id, fork.parts)
    assert [get(storage, new_key) for new_key in forks] == [b"1" * size] * 2


def test_fork_without_parts_is_a_new_upload(storage: Storage, key: str):
    new_key = original_key(uuid4())
    upload_id = begin(storage, key)
    fork = storage.fork_upload(key, upload_id, [], new_key=new_key, part_size_bytes=part_size(storage))
    storage.complete_upload(new_key, fork.upload_id, put_parts(storage, new_key, fork.upload_id, [b"a"]))
    assert (fork.parts, get(storage, new_key)) == ((), b"a")


def test_list_uploads_shows_open_ones_only(storage: Storage, key: str):
    completed, aborted, open_one, untouched = (begin(storage, key) for _ in range(4))
    storage.complete_upload(key, completed, put_parts(storage, key, completed, [b"part"]))
    storage.abort_upload(key, aborted)
    storage.put_part(key, open_one, 1, b"part")
    assert sorted(open_upload_ids(storage, key)) == sorted([open_one, untouched])
    started = [upload.started_at for upload in storage.list_uploads() if upload.key == key]
    assert all(at < datetime.now(UTC) + timedelta(seconds=30) for at in started)
    for upload_id in (open_one, untouched):
        storage.abort_upload(key, upload_id)


def test_put_leaves_no_upload_behind(storage: Storage, key: str):
    put(storage, key, b"bytes")
    assert open_upload_ids(storage, key) == []


@pytest.mark.parametrize("size_bytes", [0, 1, 20 * MIB + 1])
def test_file_put_and_downloaded_is_byte_exact(storage: Storage, key: str, tmp_path: Path, size_bytes: int):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size_bytes))
    target.write_bytes(b"what was there before" * 10)
    storage.put_file(key, source, content_type=TYPE)
    storage.download(key, target)
    assert storage.head(key).size_bytes == size_bytes
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
    assert open_upload_ids(storage, key) == []


def test_downloaded_file_is_a_copy(storage: Storage, key: str, tmp_path: Path):
    put(storage, key, b"original")
    storage.download(key, tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"scribble")
    assert get(storage, key) == b"original"


def test_put_file_of_a_missing_file_says_so(storage: Storage, key: str, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        storage.put_file(key, tmp_path / "missing", content_type=TYPE)


def test_download_to_a_missing_directory_is_no_missing_object(storage: Storage, key: str, tmp_path: Path):
    put(storage, key, b"original")
    with pytest.raises(StorageError) as caught:
        storage.download(key, tmp_path / "missing" / "file")
    assert not isinstance(caught.value, ObjectNotFoundError)


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_key_of_wrong_grammar_is_refused_by_every_call(storage: Storage, tmp_path: Path, bad: str):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    receipt = PartReceipt(1, 1, "etag")
    for call in (
        lambda: storage.put(bad, b"x", content_type=TYPE),
        lambda: storage.put_file(bad, file, content_type=TYPE),
        lambda: storage.open(bad),
        lambda: storage.head(bad),
        lambda: storage.download(bad, tmp_path / "target"),
        lambda: storage.delete([bad]),
        lambda: storage.create_upload(bad, content_type=TYPE, part_size_bytes=part_size(storage)),
        lambda: storage.put_part(bad, "upload", 1, b"x"),
        lambda: storage.complete_upload(bad, "upload", [receipt]),
        lambda: storage.abort_upload(bad, "upload"),
    ):
        with pytest.raises(MediaServiceError) as caught:
            call()
        assert caught.value.code == "bad-object-key"


@pytest.mark.parametrize("prefix", ["", "/", "orig", "originals", "../", "originals/../", "renditions//"])
def test_prefix_of_wrong_grammar_is_refused(storage: Storage, prefix: str):
    with pytest.raises(MediaServiceError) as caught:
        list(storage.list_objects(prefix))
    assert caught.value.code == "bad-object-key"


def test_eight_threads_do_not_disturb_each_other(storage: Storage, tmp_path: Path):
    def work(seed: int) -> None:
        numbers = random.Random(seed)
        for _ in range(5):
            key = rendition_key(uuid4(), recipe="a" * 16, sha256="1" * 64)
            data = numbers.randbytes(numbers.randint(1, 50_000))
            put(storage, key, data)
            assert get(storage, key) == data
            storage.download(key, tmp_path / key.replace("/", "."))
            storage.delete([key])
            upload_id = begin(storage, key)
            storage.complete_upload(key, upload_id, put_parts(storage, key, upload_id, [data]))
            assert get(storage, key) == data

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_concurrent_puts_of_one_key_leave_one_whole_version(storage: Storage, key: str):
    versions = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: put(storage, key, data), versions))
    assert get(storage, key) in versions


def test_puts_and_deletes_in_one_directory_do_not_disturb_each_other(storage: Storage):
    file_id = uuid4()

    def work(number: int) -> None:
        key = rendition_key(file_id, recipe="a" * 16, sha256=f"{number:064x}"[::-1])
        for _ in range(10):
            put(storage, key, b"x")
            storage.delete([key])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert list(storage.list_objects(renditions_prefix(file_id))) == []


def test_check_passes_and_leaves_nothing(storage: Storage):
    before = sum(1 for _ in storage.list_uploads())
    storage.check()
    assert sum(1 for _ in storage.list_uploads()) == before
