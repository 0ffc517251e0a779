"""Parts that clients send to S3 by URLs that we signed: on every server, and what the strict ones refuse."""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import boto3
import httpx2
import pytest
from botocore.config import Config

from media_service.aws.storage import S3Storage
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.storage.keys import original_key
from media_service.storage.memory import MemoryStorage
from media_service.storage.port import PresignsUploads, Storage
from tests.support.s3_server import S3Server

TYPE = "application/octet-stream"
PART = 5 * 1024 * 1024
MINUTE = timedelta(minutes=1)


@pytest.fixture
def key() -> str:
    return original_key(uuid4())


def begin(storage: Storage, key: str) -> str:
    return storage.create_upload(key, content_type=TYPE, part_size_bytes=PART)


def send(storage: S3Storage, key: str, upload_id: str, number: int, data: bytes) -> httpx2.Response:
    url = storage.presign_part(key, upload_id, number, size_bytes=len(data), expires_in=MINUTE)
    return httpx2.put(url, content=data, timeout=30)


def read(storage: Storage, key: str) -> bytes:
    with storage.open(key) as reader:
        return b"".join(iter(lambda: reader.read(1024 * 1024), b""))


def test_only_storages_with_servers_of_their_own_presign(storage: Storage):
    assert isinstance(storage, PresignsUploads) == isinstance(storage, S3Storage)
    assert not isinstance(MemoryStorage(), PresignsUploads)


def test_parts_sent_by_url_are_listed_and_make_the_object(any_s3_storage: S3Storage, key: str):
    parts = [os.urandom(PART), os.urandom(PART), b"end"]
    upload_id = begin(any_s3_storage, key)
    assert any_s3_storage.list_parts(key, upload_id) == []
    etags = {}
    for number in (3, 1, 2):
        answer = send(any_s3_storage, key, upload_id, number, parts[number - 1])
        assert answer.status_code == 200, answer.text
        etags[number] = answer.headers["ETag"]
    listed = any_s3_storage.list_parts(key, upload_id)
    assert [(part.number, part.size_bytes) for part in listed] == [(1, PART), (2, PART), (3, 3)]
    assert {part.number: part.etag.strip('"') for part in listed} == {
        number: etag.strip('"') for number, etag in etags.items()
    }
    any_s3_storage.complete_upload(key, upload_id, listed)
    assert hashlib.sha256(read(any_s3_storage, key)).digest() == hashlib.sha256(b"".join(parts)).digest()


def test_upload_of_one_small_part_is_an_object(any_s3_storage: S3Storage, key: str):
    upload_id = begin(any_s3_storage, key)
    send(any_s3_storage, key, upload_id, 1, b"small")
    any_s3_storage.complete_upload(key, upload_id, any_s3_storage.list_parts(key, upload_id))
    assert read(any_s3_storage, key) == b"small"


def test_part_sent_again_replaces_the_first(any_s3_storage: S3Storage, key: str):
    upload_id = begin(any_s3_storage, key)
    for data in (b"first", b"other!"):
        send(any_s3_storage, key, upload_id, 1, data)
    [part] = any_s3_storage.list_parts(key, upload_id)
    assert part.size_bytes == 6
    any_s3_storage.complete_upload(key, upload_id, [part])
    assert read(any_s3_storage, key) == b"other!"


@pytest.mark.parametrize("ending", ["complete", "abort"])
def test_url_is_of_no_use_after_the_end(any_s3_storage: S3Storage, key: str, ending: str):
    upload_id = begin(any_s3_storage, key)
    send(any_s3_storage, key, upload_id, 1, b"good")
    url = any_s3_storage.presign_part(key, upload_id, 1, size_bytes=4, expires_in=MINUTE)
    if ending == "complete":
        any_s3_storage.complete_upload(key, upload_id, any_s3_storage.list_parts(key, upload_id))
    else:
        any_s3_storage.abort_upload(key, upload_id)
    httpx2.put(url, content=b"evil", timeout=30)  # some take it, and never show it
    if ending == "complete":
        assert read(any_s3_storage, key) == b"good"
    else:
        with pytest.raises(ObjectNotFoundError):
            any_s3_storage.head(key)


def test_parts_of_an_upload_that_ended_are_not_found(any_s3_storage: S3Storage, key: str):
    upload_id = begin(any_s3_storage, key)
    send(any_s3_storage, key, upload_id, 1, b"x")
    any_s3_storage.abort_upload(key, upload_id)
    with pytest.raises(ObjectNotFoundError):
        any_s3_storage.list_parts(key, upload_id)


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=8)])
def test_url_lives_from_a_second_to_a_week(any_s3_storage: S3Storage, key: str, life: timedelta):
    with pytest.raises(ValueError, match="seven days"):
        any_s3_storage.presign_part(key, "id", 1, size_bytes=1, expires_in=life)


def changed(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return urlunsplit(parts._replace(query=urlencode(query)))


WRONG_URLS: dict[str, Callable[[str], str]] = {
    "another part": lambda url: changed(url, partNumber="2"),
    "another signature": lambda url: changed(url, **{"X-Amz-Signature": "0" * 64}),
    "a longer life": lambda url: changed(url, **{"X-Amz-Expires": "600"}),
    "another upload": lambda url: changed(url, uploadId=str(uuid4())),
    "the whole object": lambda url: changed(url).replace("partNumber=1&", "").replace("uploadId=", "x="),
}


@pytest.mark.parametrize("change", WRONG_URLS.values(), ids=WRONG_URLS)
def test_changed_url_takes_no_part(strict_storage: S3Storage, key: str, change: Callable[[str], str]):
    upload_id = begin(strict_storage, key)
    url = strict_storage.presign_part(key, upload_id, 1, size_bytes=4, expires_in=MINUTE)
    assert httpx2.put(change(url), content=b"evil", timeout=30).status_code == 403
    assert strict_storage.list_parts(key, upload_id) == []


@pytest.mark.parametrize("data", [b"abc", b"abcde", b"a" * 100_000])
def test_part_of_another_length_is_refused(strict_storage: S3Storage, key: str, data: bytes):
    upload_id = begin(strict_storage, key)
    url = strict_storage.presign_part(key, upload_id, 1, size_bytes=4, expires_in=MINUTE)
    assert httpx2.put(url, content=data, timeout=30).status_code == 403
    assert strict_storage.list_parts(key, upload_id) == []


def test_expired_url_takes_no_part(strict_server: S3Server, strict_storage: S3Storage, key: str):
    upload_id = begin(strict_storage, key)
    # Ours live for a second at least; the store shall judge it all the same.
    client = boto3.session.Session().client(
        "s3",
        region_name=strict_server.region,
        endpoint_url=strict_server.endpoint_url,
        aws_access_key_id=strict_server.access_key,
        aws_secret_access_key=strict_server.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url(
        "upload_part",
        Params={"Bucket": strict_server.bucket, "Key": key, "UploadId": upload_id, "PartNumber": 1},
        ExpiresIn=1,
    )
    client.close()
    deadline = time.monotonic() + 20
    while (status := httpx2.put(url, content=b"x", timeout=30).status_code) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == 403
