"""What lies in a started service's storage, seen past the service: a directory, or a bucket."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from media_service.storage.keys import ORIGINALS, RENDITIONS
from media_service.storage.local import LocalStorage
from tests.support.moto_server import ENVIRONMENT
from tests.support.s3_server import S3Server


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredObjects:
    """`keys` names every object, `facts` reads one, `unfinished` names what is neither object nor nothing."""

    keys: Callable[[], set[str]]
    facts: Callable[[str], ObjectFacts]
    unfinished: Callable[[], set[str]]

    def originals(self) -> set[str]:
        """What uploads leave; renditions of earlier files may come at any moment."""
        return {key for key in self.keys() if key.startswith(ORIGINALS)}

    def of_file(self, file_id: str) -> set[str]:
        return {key for key in self.keys() if file_id in key}


def folder_objects(data_dir: Path) -> StoredObjects:
    """The objects of local storage."""
    storage = LocalStorage(data_dir / "storage")

    def keys() -> set[str]:
        return {found.key for prefix in (ORIGINALS, RENDITIONS) for found in storage.list_objects(prefix)}

    def facts(key: str) -> ObjectFacts:
        with storage.open(key) as reader:
            return _facts(iter(lambda: reader.read(1024 * 1024), b""))

    def unfinished() -> set[str]:
        return {path.name for path in (data_dir / "storage" / "partial").iterdir()}

    return StoredObjects(keys, facts, unfinished)


def bucket_objects(server: S3Server) -> StoredObjects:
    """The objects of a bucket, which is made, through a client that has nothing of ours."""
    client: Any = boto3.session.Session().client(
        "s3",
        region_name=server.region,
        endpoint_url=server.endpoint_url,
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )

    client.create_bucket(Bucket=server.bucket)

    def keys() -> set[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def facts(key: str) -> ObjectFacts:
        body = client.get_object(Bucket=server.bucket, Key=key)["Body"]
        return _facts(body.iter_chunks(1024 * 1024))

    def unfinished() -> set[str]:
        found = client.list_multipart_uploads(Bucket=server.bucket)
        return {upload["UploadId"] for upload in found.get("Uploads", [])}

    return StoredObjects(keys, facts, unfinished)


def _facts(chunks: Iterator[bytes]) -> ObjectFacts:
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
    return ObjectFacts(size_bytes, digest.hexdigest())
