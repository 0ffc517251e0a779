"""Keeps objects in an S3 bucket. Worker room: every call blocks.

Built by `aws/client.py` with its clients; here stands what S3 means, there how it is reached.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from media_service.aws.exceptions import error_code, translating_s3_errors
from media_service.aws.storage_reader import EmptyReader, S3Reader
from media_service.storage.checks import checked_range_bytes, checked_total_bytes
from media_service.storage.exceptions import ObjectNotFoundError, StorageError, StorageUnavailableError
from media_service.storage.keys import checked_key, checked_prefix, is_key
from media_service.storage.limits import part_size_for
from media_service.storage.local_errors import translating_os_errors
from media_service.storage.local_files import FILE_MODE, write_all
from media_service.storage.port import (
    BlobReader,
    Bytes,
    ForkedUpload,
    OpenUpload,
    PartLimits,
    PartReceipt,
    StoredObject,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

MAX_PRESIGN = timedelta(days=7)
"""SigV4 in a query string lives no longer (S3 API, "Authenticating Requests: Using Query Parameters")."""

_DELETE_BATCH = 1000
"""Keys of one DeleteObjects (S3 API)."""

_COPY_BYTES = 1024 * 1024
"""Of a download, in memory at once."""


@dataclass(frozen=True, slots=True)
class S3Clients:
    """Thread-safe, but not to be taken through a fork: two processes would share sockets."""

    data: "S3Client"
    signing: "S3Client"
    """Signs for the public endpoint, sends nothing."""
    probing: "S3Client"
    """One attempt and a short timeout: for readiness."""


_BAD_RANGE = frozenset({"InvalidRange", "InvalidArgument"})
"""What stores say of a range that begins at the end of an object; HEAD then tells whether it does."""


class S3Storage:
    """The Storage port, PresignsDownloads and PresignsUploads over one bucket.

    Objects that are not ours are not listed.
    """

    def __init__(self, clients: S3Clients, *, bucket: str, part_size_bytes: int) -> None:
        self._clients = clients
        self._client = clients.data
        self._bucket = bucket
        # S3 API, "Multipart upload limits": 5 MiB to 5 GiB, 10,000 parts. Two in flight keep the connection
        # busy while the next part is hashed; each further one only holds memory.
        self.part_limits = PartLimits(
            preferred_bytes=part_size_bytes, min_bytes=5 * 1024 * 1024, max_count=10_000, in_flight=2
        )

    def close(self) -> None:
        """Close all connections; the storage is of no use afterwards."""
        for client in (self._clients.data, self._clients.signing, self._clients.probing):
            client.close()

    def put(self, key: str, data: Bytes, *, content_type: str) -> None:
        with translating_s3_errors(key):
            self._client.put_object(
                Bucket=self._bucket, Key=checked_key(key), Body=_body(data), ContentType=content_type
            )

    def put_file(self, key: str, path: Path, *, content_type: str) -> None:
        with path.open("rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes <= self.part_limits.preferred_bytes:
                self.put(key, file.read(), content_type=content_type)
            else:
                self._put_in_parts(key, file.fileno(), size_bytes, content_type)

    def _put_in_parts(self, key: str, fd: int, size_bytes: int, content_type: str) -> None:
        """Each thread reads its part only when it sends it, so that memory holds `in_flight` parts."""
        part_bytes = part_size_for(self.part_limits, length_bytes=size_bytes)
        upload_id = self.create_upload(key, content_type=content_type, part_size_bytes=part_bytes)

        def send(number: int) -> PartReceipt:
            return self.put_part(key, upload_id, number, os.pread(fd, part_bytes, (number - 1) * part_bytes))

        try:
            with ThreadPoolExecutor(self.part_limits.in_flight) as pool:
                receipts = list(pool.map(send, range(1, -(-size_bytes // part_bytes) + 1)))
            self.complete_upload(key, upload_id, receipts)
        except BaseException:
            with suppress(StorageError):
                self.abort_upload(key, upload_id)
            raise

    def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> BlobReader:
        if size_bytes == 0:
            return self._open_empty(key, start)
        with translating_s3_errors(key):
            try:
                response = self._get(key, start, size_bytes)
            except ClientError as error:
                if size_bytes is None and error_code(error) in _BAD_RANGE:
                    return self._open_empty(key, start, at_end=True)
                raise
        return _reader(response, start=start, size_bytes=size_bytes)

    def _get(self, key: str, start: int, size_bytes: int | None) -> "GetObjectOutputTypeDef":
        if start == 0 and size_bytes is None:
            return self._client.get_object(Bucket=self._bucket, Key=checked_key(key))
        last = "" if size_bytes is None else start + size_bytes - 1
        return self._client.get_object(
            Bucket=self._bucket, Key=checked_key(key), Range=f"bytes={start}-{last}"
        )

    def _open_empty(self, key: str, start: int, *, at_end: bool = False) -> EmptyReader:
        """A range without bytes: HTTP cannot ask for it, but the object must exist and reach to `start`."""
        if checked_range_bytes(self.head(key).size_bytes, start=start, size_bytes=None if at_end else 0) > 0:
            raise StorageUnavailableError
        return EmptyReader()

    def head(self, key: str) -> StoredObject:
        with translating_s3_errors(key):
            response = self._client.head_object(Bucket=self._bucket, Key=checked_key(key))
        return StoredObject(key, response["ContentLength"], response["LastModified"])

    def download(self, key: str, path: Path) -> None:
        """What a failure leaves at `path` is unusable."""
        with self.open(key) as reader, translating_os_errors():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
            try:
                offset_bytes = 0
                while chunk := reader.read(_COPY_BYTES):
                    write_all(fd, chunk, offset_bytes)
                    offset_bytes += len(chunk)
            finally:
                os.close(fd)

    def delete(self, keys: Iterable[str]) -> None:
        names = iter(keys)
        while batch := [checked_key(key) for key in islice(names, _DELETE_BATCH)]:
            with translating_s3_errors():
                response = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            # 200 OK for the request says nothing of the single keys.
            if any(error.get("Code") != "NoSuchKey" for error in response.get("Errors", [])):
                raise StorageUnavailableError

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        is_directory = checked_prefix(prefix).endswith("/")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        with translating_s3_errors():
            for page in pages:
                for found in page.get("Contents", []):
                    key = found["Key"]
                    if is_key(key) and (is_directory or key == prefix):
                        yield StoredObject(key, found["Size"], found["LastModified"])

    def create_upload(self, key: str, *, content_type: str, part_size_bytes: int) -> str:  # noqa: ARG002
        """S3 takes the size of the parts from the parts."""
        with translating_s3_errors(key):
            response = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=checked_key(key), ContentType=content_type
            )
        return response["UploadId"]

    def put_part(self, key: str, upload_id: str, number: int, data: Bytes) -> PartReceipt:
        with translating_s3_errors(key):
            response = self._client.upload_part(
                Bucket=self._bucket,
                Key=checked_key(key),
                UploadId=upload_id,
                PartNumber=number,
                Body=_body(data),
            )
        return PartReceipt(number, len(data), response["ETag"])

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[PartReceipt]) -> None:
        """A 200 with an error in its body is tried again by boto3, as any failure.

        Whether one of the attempts took effect, the object decides: an answer may have been lost, or have
        come too late.
        """
        part_size_bytes = parts[0].size_bytes if parts else 0
        total_bytes = checked_total_bytes(parts, part_size_bytes=part_size_bytes)
        try:
            with translating_s3_errors(key):
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=checked_key(key),
                    UploadId=upload_id,
                    MultipartUpload={"Parts": [{"ETag": p.etag, "PartNumber": p.number} for p in parts]},
                )
        except ObjectNotFoundError:
            if self.head(key).size_bytes != total_bytes:
                raise
        except StorageUnavailableError:
            if not self._has_object(key, total_bytes):
                raise

    def _has_object(self, key: str, size_bytes: int) -> bool:
        """Whether it is there, as far as is known."""
        try:
            return self.head(key).size_bytes == size_bytes
        except StorageError:
            return False

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Parts on their way may outlive it (S3 API, AbortMultipartUpload); then it is listed again."""
        with suppress(ObjectNotFoundError), translating_s3_errors(key):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=checked_key(key), UploadId=upload_id)

    def fork_upload(
        self, key: str, upload_id: str, parts: Sequence[PartReceipt], *, new_key: str, part_size_bytes: int
    ) -> ForkedUpload:
        """Parts can be copied of an object only, so the old upload is completed with what it has."""
        if parts:
            self.complete_upload(key, upload_id, parts)
        else:
            self.abort_upload(key, upload_id)
        new_id = self.create_upload(
            new_key, content_type="application/octet-stream", part_size_bytes=part_size_bytes
        )

        def copy(part: PartReceipt) -> PartReceipt:
            start = (part.number - 1) * part_size_bytes
            with self.open(key, start=start, size_bytes=part.size_bytes) as reader:
                data = b"".join(iter(lambda: reader.read(_COPY_BYTES), b""))
            return self.put_part(new_key, new_id, part.number, data)

        try:
            # Through this process, and not by UploadPartCopy, which several stores lack or do differently:
            # this happens after a crash, and must work there.
            with ThreadPoolExecutor(self.part_limits.in_flight) as pool:
                return ForkedUpload(new_id, tuple(pool.map(copy, parts)))
        except BaseException:
            with suppress(StorageError):
                self.abort_upload(new_key, new_id)
            raise

    def list_uploads(self) -> Iterator[OpenUpload]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket)
        with translating_s3_errors():
            for page in pages:
                for found in page.get("Uploads", []):
                    if is_key(found["Key"]):
                        yield OpenUpload(found["Key"], found["UploadId"], found["Initiated"])

    def check(self) -> None:
        """One HEAD of the bucket, once, briefly. A bucket that is missing or forbidden is unavailable."""
        try:
            with translating_s3_errors():
                self._clients.probing.head_bucket(Bucket=self._bucket)
        except ObjectNotFoundError as error:
            raise StorageUnavailableError from error

    def presign_download(
        self, key: str, *, expires_in: timedelta, content_type: str, content_disposition: str
    ) -> str:
        """Needs no network. Raises ValueError for a life of less than a second or more than seven days."""
        params = {"ResponseContentType": content_type, "ResponseContentDisposition": content_disposition}
        return self._presign("get_object", key, params, expires_in)

    def presign_part(
        self, key: str, upload_id: str, number: int, *, size_bytes: int | None, expires_in: timedelta
    ) -> str:
        """As above. A length is one of the signed headers, so that no other length has this signature."""
        params: dict[str, Any] = {"UploadId": upload_id, "PartNumber": number}
        if size_bytes is not None:
            params["ContentLength"] = size_bytes
        return self._presign("upload_part", key, params, expires_in)

    def _presign(self, operation: str, key: str, params: dict[str, Any], expires_in: timedelta) -> str:
        if not timedelta(seconds=1) <= expires_in <= MAX_PRESIGN:
            raise ValueError("a presigned URL lives from one second to seven days")
        with translating_s3_errors(key):
            return self._clients.signing.generate_presigned_url(
                operation,
                Params={"Bucket": self._bucket, "Key": checked_key(key), **params},
                ExpiresIn=int(expires_in.total_seconds()),
            )

    def list_parts(self, key: str, upload_id: str) -> list[PartReceipt]:
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=checked_key(key), UploadId=upload_id
        )
        with translating_s3_errors(key):
            return [
                PartReceipt(part["PartNumber"], part["Size"], part["ETag"])
                for page in pages
                for part in page.get("Parts", [])
            ]


def _body(data: Bytes) -> bytes:
    """What boto3 accepts and can send again on a retry: also a bytearray, whatever its stubs say."""
    return bytes(data) if isinstance(data, memoryview) else cast("bytes", data)


def _reader(response: "GetObjectOutputTypeDef", *, start: int, size_bytes: int | None) -> S3Reader:
    """A reader, if the answer is what was asked for: some stores ignore Range, any clips it at the end."""
    reader = S3Reader(response["Body"], response["ContentLength"])
    is_ranged = start > 0 or size_bytes is not None
    is_partial = response["ResponseMetadata"]["HTTPStatusCode"] == 206
    if is_ranged != is_partial or size_bytes not in {None, reader.size_bytes}:
        reader.close()
        raise StorageUnavailableError
    return reader
