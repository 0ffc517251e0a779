"""Makes the storage that the settings name. Blocking room; called by composition roots only."""

from pathlib import Path

from media_service.aws.client import create_s3_storage
from media_service.aws.config import S3Settings
from media_service.storage.local import LocalStorage
from media_service.storage.port import Storage


def create_storage(kind: str, *, s3: S3Settings, data_dir: Path) -> Storage:
    """The storage of this process: a bucket, or a directory below the data directory."""
    return create_s3_storage(s3) if kind == "s3" else LocalStorage(data_dir.resolve() / "storage")
