"""How the S3 storage behaves towards a server that misbehaves, and what it signs."""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import boto3
import pytest
from pydantic import ValidationError

from media_service.aws import storage_reader
from media_service.aws.client import create_s3_storage
from media_service.aws.config import S3Settings
from media_service.aws.storage import S3Storage
from media_service.storage.exceptions import (
    ObjectNotFoundError,
    PartsMismatchError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from media_service.storage.keys import original_key
from media_service.storage.port import PartReceipt, PresignsDownloads, Storage
from tests.support.moto_server import ENVIRONMENT
from tests.support.s3_server import S3Server
from tests.support.scripted_server import Answer, ScriptedServer

BUCKET = "secret-bucket-name"
KEY = original_key(uuid4())
TYPE = "image/png"
PARTS = [PartReceipt(1, 4, "etag")]
LAST_MODIFIED = {"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}


def error_answer(status: int, code: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>{BUCKET}</Message></Error>".encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with closing(ScriptedServer()) as scripted:
        yield scripted


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore waits up to some seconds between its attempts."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)


@pytest.fixture
def storage(server: ScriptedServer) -> Iterator[S3Storage]:
    with closing(open_storage(server)) as s3:
        yield s3


def open_storage(server: ScriptedServer, **settings: object) -> S3Storage:
    values = {"s3_endpoint_url": server.url, "s3_addressing_style": "path", **settings}
    return create_s3_storage(S3Settings.model_validate({"s3_bucket": BUCKET, **values}))


def put(storage: Storage) -> None:
    storage.put(KEY, b"data", content_type=TYPE)


def test_s3_storage_presigns(storage: S3Storage):
    assert isinstance(storage, PresignsDownloads)


def test_presigned_url_is_sigv4_for_the_public_host(server: ScriptedServer):
    with closing(open_storage(server, s3_public_endpoint_url="https://media.example.com")) as storage:
        url = urlsplit(
            storage.presign_download(
                KEY,
                expires_in=timedelta(minutes=15),
                content_type=TYPE,
                content_disposition='attachment; filename="a b.png"',
            )
        )
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc, url.path) == ("https", "media.example.com", f"/{BUCKET}/{KEY}")
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-SignedHeaders"] == "host"
    assert query["X-Amz-Expires"] == "900"
    assert query["response-content-type"] == TYPE
    assert query["response-content-disposition"] == 'attachment; filename="a b.png"'
    assert len(query["X-Amz-Signature"]) == 64
    assert server.requests == []


def test_presigned_url_downloads_with_our_headers(s3_storage: S3Storage):
    key = original_key(uuid4())
    s3_storage.put(key, b"bytes", content_type="application/octet-stream")
    url = s3_storage.presign_download(
        key, expires_in=timedelta(minutes=1), content_type=TYPE, content_disposition="inline"
    )
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own loopback URL)
        assert response.read() == b"bytes"
        assert response.headers["Content-Type"] == TYPE
        assert response.headers["Content-Disposition"] == "inline"


@pytest.mark.parametrize("expires_in", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_presigning_for_too_short_or_too_long_is_refused(storage: S3Storage, expires_in: timedelta):
    with pytest.raises(ValueError, match="seven days"):
        storage.presign_download(KEY, expires_in=expires_in, content_type=TYPE, content_disposition="inline")


def test_content_type_is_stored(s3_server: S3Server, s3_storage: S3Storage, tmp_path: Path):
    small, large = original_key(uuid4()), original_key(uuid4())
    (tmp_path / "large").write_bytes(bytes(9 * 1024 * 1024))
    s3_storage.put(small, b"bytes", content_type=TYPE)
    s3_storage.put_file(large, tmp_path / "large", content_type=TYPE)
    client = boto3.client("s3", endpoint_url=s3_server.endpoint_url, region_name=s3_server.region)
    with closing(client):
        for key in (small, large):
            assert client.head_object(Bucket=s3_server.bucket, Key=key)["ContentType"] == TYPE


def test_objects_and_uploads_of_others_in_the_bucket_are_not_listed(
    s3_server: S3Server, s3_storage: S3Storage
):
    client = boto3.client("s3", endpoint_url=s3_server.endpoint_url, region_name=s3_server.region)
    with closing(client):
        client.put_object(Bucket=s3_server.bucket, Key="originals/Not Ours.txt", Body=b"x")
        client.create_multipart_upload(Bucket=s3_server.bucket, Key="backup.tar")
    assert "originals/Not Ours.txt" not in {stored.key for stored in s3_storage.list_objects("originals/")}
    assert "backup.tar" not in {upload.key for upload in s3_storage.list_uploads()}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_status_that_may_pass_is_tried_again(
    server: ScriptedServer, storage: S3Storage, no_waiting: None, status: int
):
    server.script = [Answer(status), Answer(status), Answer(200)]
    put(storage)
    assert [command for command, _, _ in server.requests] == ["PUT"] * 3


def test_attempts_end_at_the_setting(server: ScriptedServer, no_waiting: None):
    server.script = [Answer(429)]
    with closing(open_storage(server, s3_max_attempts=3)) as storage, pytest.raises(StorageUnavailableError):
        put(storage)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", ObjectNotFoundError),
        (404, "NoSuchUpload", ObjectNotFoundError),
        (404, "NoSuchBucket", StorageUnavailableError),
        (403, "AccessDenied", StorageUnavailableError),
        (403, "RequestTimeTooSkewed", StorageUnavailableError),
        (403, "SignatureDoesNotMatch", StorageUnavailableError),
        (503, "SlowDown", StorageUnavailableError),
        (500, "InternalError", StorageUnavailableError),
        (429, "TooManyRequests", StorageUnavailableError),
        (400, "SomethingNew", StorageUnavailableError),
        (403, "QuotaExceeded", StorageFullError),
        (507, "XMinioStorageFull", StorageFullError),
        (507, "Unheard", StorageFullError),
        (400, "InvalidPart", PartsMismatchError),
        (400, "EntityTooSmall", PartsMismatchError),
    ],
)
def test_s3_errors_become_storage_errors_that_disclose_nothing(
    server: ScriptedServer, no_waiting: None, status: int, code: str, expected: type[StorageError]
):
    server.script = [error_answer(status, code)]
    with closing(open_storage(server)) as storage, pytest.raises(StorageError) as caught:
        storage.put_part(KEY, "upload", 1, b"data")
    assert type(caught.value) is expected
    assert caught.value.__cause__ is not None
    public = (
        f"{caught.value} {caught.value!r} {caught.value.detail} {caught.value.code} {caught.value.members}"
    )
    for secret in (BUCKET, KEY, server.url.removeprefix("http://"), ENVIRONMENT["AWS_ACCESS_KEY_ID"]):
        assert secret not in public


def test_silent_server_is_unavailable_after_the_read_timeout(server: ScriptedServer):
    server.script = [Answer(before=lambda: server.is_over.wait(5))]
    settings = {"s3_read_timeout_seconds": 0.2, "s3_max_attempts": 1}
    started = time.monotonic()
    with closing(open_storage(server, **settings)) as storage, pytest.raises(StorageUnavailableError):
        put(storage)
    assert time.monotonic() - started < 2


def test_refused_connection_is_unavailable(server: ScriptedServer, no_waiting: None):
    with closing(open_storage(server)) as storage:
        server.close()
        with pytest.raises(StorageUnavailableError):
            put(storage)


def test_missing_credentials_are_unavailable(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with closing(open_storage(server)) as storage, pytest.raises(StorageUnavailableError):
        put(storage)


@pytest.mark.parametrize("answer", [Answer(404), Answer(403), Answer(503)])
def test_check_asks_once_and_raises_unavailable(server: ScriptedServer, storage: S3Storage, answer: Answer):
    server.script = [answer]
    with pytest.raises(StorageUnavailableError):
        storage.check()
    assert [command for command, _, _ in server.requests] == ["HEAD"]


def test_truncated_body_raises_and_never_looks_like_the_end(
    server: ScriptedServer, storage: S3Storage, tmp_path: Path
):
    server.script = [Answer(body=b"x" * 1000, length=100_000)]
    with storage.open(KEY) as reader:
        assert b"".join(reader.read(300) for _ in range(3)) == b"x" * 900
        with pytest.raises(StorageUnavailableError):
            reader.read(300)
    with pytest.raises(StorageUnavailableError):
        storage.download(KEY, tmp_path / "file")


def test_body_that_falls_silent_raises(server: ScriptedServer):
    server.script = [Answer(body=b"xxx", length=100_000, piece_pause_seconds=1)]
    with (
        closing(open_storage(server, s3_read_timeout_seconds=0.2)) as storage,
        storage.open(KEY) as reader,
        pytest.raises(StorageUnavailableError),
    ):
        reader.read(1000)


def test_dripping_body_raises_when_patience_ends(
    server: ScriptedServer, storage: S3Storage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage_reader, "_PATIENCE_SECONDS", 0.3)
    server.script = [Answer(body=b"x" * 100, piece_pause_seconds=0.05)]
    started = time.monotonic()
    with storage.open(KEY) as reader, pytest.raises(StorageUnavailableError):
        reader.read(100)
    assert time.monotonic() - started < 2


def test_close_does_not_drain_the_body(server: ScriptedServer, storage: S3Storage):
    server.script = [Answer(body=b"x" * 65536, length=1 << 40)]
    with storage.open(KEY) as reader:
        assert reader.read(10) == b"x" * 10
        started = time.monotonic()
    assert time.monotonic() - started < 1


def test_server_that_ignores_the_range_is_refused(server: ScriptedServer, storage: S3Storage):
    server.script = [Answer(body=b"0123456789")]
    with pytest.raises(StorageUnavailableError):
        storage.open(KEY, start=0, size_bytes=10)


def test_connection_is_used_again_after_a_body_was_read(server: ScriptedServer, storage: S3Storage):
    connections: set[int] = set()
    server.script = [Answer(body=b"x" * 100_000)]
    for _ in range(3):
        with storage.open(KEY) as reader:
            while reader.read(1000):
                pass
        pool_manager = storage._client._endpoint.http_session._manager  # type: ignore[attr-defined]
        (pool,) = (pool_manager.pools[key] for key in pool_manager.pools.keys())  # noqa: SIM118
        connections.add(pool.num_connections)
    assert connections == {1}


def test_complete_whose_first_answer_was_lost_is_decided_by_head(server: ScriptedServer, storage: S3Storage):
    lost = error_answer(404, "NoSuchUpload")
    server.script = [lost, Answer(length=4, headers=LAST_MODIFIED)]
    storage.complete_upload(KEY, "upload", PARTS)
    assert [command for command, _, _ in server.requests] == ["POST", "HEAD"]
    for head in (Answer(404), Answer(length=5, headers=LAST_MODIFIED)):
        server.script = [lost, head]
        with pytest.raises(ObjectNotFoundError):
            storage.complete_upload(KEY, "upload", PARTS)


def test_complete_that_fails_to_the_last_attempt_is_decided_by_head(
    server: ScriptedServer, storage: S3Storage, no_waiting: None
):
    failing = [Answer(200, error_answer(200, "InternalError").body)] * 4
    server.script = [*failing, Answer(length=4, headers=LAST_MODIFIED)]
    storage.complete_upload(KEY, "upload", PARTS)
    assert [command for command, _, _ in server.requests] == ["POST"] * 4 + ["HEAD"]
    for head in (Answer(404), Answer(503), Answer(length=5, headers=LAST_MODIFIED)):
        server.script = [*failing, head]
        with pytest.raises(StorageUnavailableError):
            storage.complete_upload(KEY, "upload", PARTS)


def test_no_attempt_begins_after_the_time_for_attempts(server: ScriptedServer):
    server.script = [Answer(503, before=lambda: server.is_over.wait(0.3))]
    settings = {"s3_retry_seconds": 0.2, "s3_max_attempts": 10}
    with closing(open_storage(server, **settings)) as storage, pytest.raises(StorageUnavailableError):
        put(storage)
    assert len(server.requests) == 1


def test_delete_raises_if_any_key_failed(server: ScriptedServer, storage: S3Storage):
    def result(code: str) -> Answer:
        return Answer(
            body=f"<DeleteResult><Error><Key>k</Key><Code>{code}</Code></Error></DeleteResult>".encode()
        )

    server.script = [result("NoSuchKey"), result("AccessDenied")]
    storage.delete([KEY])
    with pytest.raises(StorageUnavailableError):
        storage.delete([KEY])


def test_failed_put_file_aborts_its_upload(
    server: ScriptedServer, storage: S3Storage, tmp_path: Path, no_waiting: None
):
    (tmp_path / "large").write_bytes(bytes(17 * 1024 * 1024))
    created = Answer(
        body=b"<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
    )
    server.script = [created, error_answer(403, "AccessDenied")]
    with pytest.raises(StorageUnavailableError):
        storage.put_file(KEY, tmp_path / "large", content_type=TYPE)
    assert server.requests[-1][0] == "DELETE"


@pytest.mark.parametrize(("checksums", "is_sent"), [("auto", False), ("when_supported", True)])
def test_checksum_goes_to_a_compatible_store_only_when_asked_for(
    server: ScriptedServer, checksums: str, *, is_sent: bool
):
    with closing(open_storage(server, s3_checksums=checksums)) as storage:
        put(storage)
    headers = {name.lower(): value for name, value in server.requests[0][2].items()}
    assert any(name.startswith("x-amz-checksum-") for name in headers) is is_sent
    assert "media-service" in headers["user-agent"]
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_checksums_are_for_aws_unless_an_endpoint_is_set():
    assert S3Settings().s3_request_checksums == "when_supported"
    assert S3Settings(s3_endpoint_url="http://s3.internal:9000").s3_request_checksums == "when_required"


@pytest.mark.parametrize(
    "wrong",
    [
        {"s3_bucket": "a/b"},
        {"s3_endpoint_url": "s3.internal"},
        {"s3_endpoint_url": "https://user:password@s3.internal"},
        {"s3_public_endpoint_url": "https://media.example.com"},
        {"s3_part_size_bytes": 1024},
        {"s3_max_attempts": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        S3Settings.model_validate(wrong)


def test_storage_without_a_bucket_is_refused():
    with pytest.raises(ValueError, match="s3_bucket"):
        create_s3_storage(S3Settings())
