"""What S3 promises and moto does not check: signatures, their expiry, and the order of parts."""

import hashlib
import time
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import boto3
import httpx2
import pytest
from botocore.config import Config

from media_service.aws.client import create_s3_storage
from media_service.aws.storage import S3Storage
from media_service.exceptions import MediaServiceError
from media_service.storage.exceptions import ObjectNotFoundError, PartsMismatchError, StorageError
from media_service.storage.keys import original_key
from media_service.storage.port import PartReceipt
from tests.contract.conftest import settings_for, storage_on
from tests.support.s3_server import S3Server, environment

TYPE = "image/png"
MINUTE = timedelta(minutes=1)
PART = 5 * 1024 * 1024


@pytest.fixture
def key() -> str:
    return original_key(uuid4())


def presigned(storage: S3Storage, key: str) -> str:
    return storage.presign_download(
        key, expires_in=MINUTE, content_type=TYPE, content_disposition='inline; filename="a.png"'
    )


def fetch(url: str, *, method: str = "GET", data: bytes = b"") -> tuple[int, bytes]:
    answer = httpx2.request(method, url, content=data, timeout=20)
    return answer.status_code, answer.content


def changed(url: str, **parameters: str) -> str:
    parts = urlsplit(url)
    wanted = {name.replace("_", "-"): value for name, value in parameters.items()}
    return urlunsplit(parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **wanted})))


def test_presigned_url_needs_no_other_credentials(strict_storage: S3Storage, key: str):
    strict_storage.put(key, b"some bytes", content_type=TYPE)
    status, body = fetch(presigned(strict_storage, key))
    assert (status, body) == (200, b"some bytes")


@pytest.mark.parametrize(
    "parameters",
    [
        {"X_Amz_Signature": "0" * 64},
        {"X_Amz_Expires": "600"},
        {"X_Amz_Date": "20200101T000000Z"},
        {"response_content_type": "text/html"},
        {"response_content_disposition": "inline"},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_changed_url_is_refused(strict_storage: S3Storage, key: str, parameters: dict[str, str]):
    strict_storage.put(key, b"some bytes", content_type=TYPE)
    status, body = fetch(changed(presigned(strict_storage, key), **parameters))
    assert (status, b"some bytes" in body) == (403, False)


def test_url_is_good_for_its_key_and_method_only(strict_storage: S3Storage, key: str):
    other = original_key(uuid4())
    for each in (key, other):
        strict_storage.put(each, b"some bytes", content_type=TYPE)
    url = presigned(strict_storage, key)
    assert fetch(url.replace(key, other))[0] == 403
    assert fetch(url, method="PUT", data=b"x")[0] == 403
    assert fetch(url, method="DELETE")[0] == 403
    with strict_storage.open(key) as reader:
        assert reader.read(100) == b"some bytes"


def test_expired_url_is_refused(strict_server: S3Server, strict_storage: S3Storage, key: str):
    strict_storage.put(key, b"some bytes", content_type=TYPE)
    # Our own presigning refuses so short a life; the store shall judge it all the same.
    client = boto3.session.Session().client(
        "s3",
        region_name=strict_server.region,
        endpoint_url=strict_server.endpoint_url,
        aws_access_key_id=strict_server.access_key,
        aws_secret_access_key=strict_server.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": strict_server.bucket, "Key": key}, ExpiresIn=1
    )
    client.close()
    deadline = time.monotonic() + 20
    while (status := fetch(url)[0]) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert status == 403


def test_wrong_secret_is_refused_and_disclosed_to_nobody(
    strict_server: S3Server, monkeypatch: pytest.MonkeyPatch, key: str
):
    wrong = environment(access_key=strict_server.access_key, secret_key="not-the-secret")
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    storage = create_s3_storage(settings_for(strict_server))
    with pytest.raises(StorageError) as caught:
        storage.put(key, b"x", content_type=TYPE)
    storage.close()
    assert strict_server.bucket not in str(caught.value)


def test_upload_goes_on_with_another_process_and_ends_whole(
    strict_server: S3Server, strict_storage: S3Storage, key: str
):
    parts = [b"a" * PART, b"b" * PART, b"end"]
    upload_id = strict_storage.create_upload(key, content_type=TYPE, part_size_bytes=PART)
    receipts = [strict_storage.put_part(key, upload_id, 2, parts[1])]
    with storage_on(strict_server) as other:
        assert upload_id in {upload.upload_id for upload in other.list_uploads()}
        receipts += [other.put_part(key, upload_id, number, parts[number - 1]) for number in (3, 1)]
        other.complete_upload(key, upload_id, sorted(receipts, key=lambda receipt: receipt.number))
    digest = hashlib.sha256()
    with strict_storage.open(key) as reader:
        while chunk := reader.read(1024 * 1024):
            digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(b"".join(parts)).hexdigest()
    assert strict_storage.head(key).size_bytes == 2 * PART + 3


def test_aborted_upload_takes_no_part_and_cannot_be_completed(strict_storage: S3Storage, key: str):
    upload_id = strict_storage.create_upload(key, content_type=TYPE, part_size_bytes=PART)
    receipt = strict_storage.put_part(key, upload_id, 1, b"a" * PART)
    strict_storage.abort_upload(key, upload_id)
    with pytest.raises(ObjectNotFoundError):
        strict_storage.put_part(key, upload_id, 2, b"x")
    with pytest.raises(MediaServiceError):
        strict_storage.complete_upload(key, upload_id, [receipt])
    with pytest.raises(ObjectNotFoundError):
        strict_storage.head(key)
    assert upload_id not in {upload.upload_id for upload in strict_storage.list_uploads()}


@pytest.mark.parametrize("wrong", ["etag", "missing part"])
def test_upload_with_wrong_receipts_is_no_object(strict_storage: S3Storage, key: str, wrong: str):
    upload_id = strict_storage.create_upload(key, content_type=TYPE, part_size_bytes=PART)
    first = strict_storage.put_part(key, upload_id, 1, b"a" * PART)
    bad = PartReceipt(2, 3, '"' + "0" * 32 + '"')
    if wrong == "etag":
        strict_storage.put_part(key, upload_id, 2, b"end")
    with pytest.raises(PartsMismatchError):
        strict_storage.complete_upload(key, upload_id, [first, bad])
    with pytest.raises(ObjectNotFoundError):
        strict_storage.head(key)
    strict_storage.abort_upload(key, upload_id)
