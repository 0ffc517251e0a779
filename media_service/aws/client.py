"""Builds the boto3 clients and the storage over them; the only place that does. Worker room.

Call `create_s3_storage` once per process, after any fork and before any thread: making a client is neither
thread-safe nor cheap (tens of milliseconds), using one is both.
"""

import base64
import hashlib
from time import monotonic
from typing import TYPE_CHECKING, Any

from boto3.session import Session
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from media_service.aws.config import S3Settings
from media_service.aws.exceptions import RetryTimeOverError
from media_service.aws.storage import S3Clients, S3Storage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROBE_TIMEOUT_SECONDS = 3.0
"""To connect, and to answer: what a readiness probe can wait. `s3_connect_timeout_seconds` may be shorter."""

_SIGNING_CONFIG = Config(request_checksum_calculation="when_required")
"""A signed URL must ask the client for no checksum header."""


def create_s3_storage(settings: S3Settings) -> S3Storage:
    """The storage over the bucket of the settings. Sends nothing yet. Raises ValueError without a bucket."""
    if settings.s3_bucket is None:
        raise ValueError("s3_bucket is not set")
    session = Session(region_name=settings.s3_region)
    clients = S3Clients(
        data=_client(session, settings, _data_config(settings)),
        signing=_client(session, settings, _SIGNING_CONFIG, settings.s3_public_endpoint_url),
        probing=_client(session, settings, _probe_config(settings)),
    )
    return S3Storage(clients, bucket=settings.s3_bucket, part_size_bytes=settings.s3_part_size_bytes)


def _client(
    session: Session, settings: S3Settings, config: Config, endpoint_url: str | None = None
) -> "S3Client":
    client = session.client(
        "s3",
        endpoint_url=endpoint_url or settings.s3_endpoint_url,
        config=_base_config(settings).merge(config),
    )
    client.meta.events.register("before-call.s3.DeleteObjects", _add_content_md5)
    client.meta.events.register("request-created.s3", _RetryTime(settings.s3_retry_seconds))
    return client


class _RetryTime:
    """Ends a call whose time for further attempts is over, right before botocore would send one more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, request: AWSRequest, *, operation_name: str, **_: object) -> None:
        if operation_name == "CompleteMultipartUpload":
            return  # takes S3 minutes for the largest objects, all attempts together as many times that
        # One context for all attempts of a call (botocore.endpoint.Endpoint._send_request).
        begun = request.context.setdefault("media_service_begun", monotonic())
        if monotonic() - begun > self._seconds:
            raise RetryTimeOverError


def _add_content_md5(params: dict[str, Any], **_: object) -> None:
    """S3 asks for a checksum of this request; stores of before 2025 know no other (OpenStack Swift, Ceph)."""
    body = params["body"] if isinstance(params["body"], bytes) else str(params["body"]).encode()
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()


def _base_config(settings: S3Settings) -> Config:
    """s3v4, since boto3 still presigns with SigV2 in us-east-1, which signs neither headers nor host."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": settings.s3_addressing_style},
        # Fixed: boto3 would build its own anew for each request, about a tenth of the CPU of a small put.
        user_agent="media-service",
        # Of a GET, boto3 verifies only whole objects that were put in one part; our SHA-256 covers them all.
        response_checksum_validation="when_required",
    )


def _data_config(settings: S3Settings) -> Config:
    return Config(
        request_checksum_calculation=settings.s3_request_checksums,
        # "standard" also retries 429 since botocore 1.44; "adaptive" would make a request wait before it is
        # sent, for what other requests met.
        retries={"mode": "standard", "total_max_attempts": settings.s3_max_attempts},
        connect_timeout=settings.s3_connect_timeout_seconds,
        read_timeout=settings.s3_read_timeout_seconds,
        max_pool_connections=settings.s3_pool_connections,
        tcp_keepalive=True,
    )


def _probe_config(settings: S3Settings) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=min(PROBE_TIMEOUT_SECONDS, settings.s3_connect_timeout_seconds),
        read_timeout=min(PROBE_TIMEOUT_SECONDS, settings.s3_read_timeout_seconds),
        max_pool_connections=1,
    )
