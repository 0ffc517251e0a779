"""Settings of the S3 storage. Core room.

Credentials are no settings of ours: boto3 finds them by its own chain (`AWS_ACCESS_KEY_ID` and so on, shared
files, the role of the instance or container), so that they rotate without us and reach no log of settings.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MEBIBYTE = 1024 * 1024

_Url = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
"""A URL without credentials, query or fragment: it is joined with bucket and key."""


class S3Settings(BaseModel):
    """How the service reaches its bucket; read only where `storage` is `s3`."""

    model_config = ConfigDict(frozen=True)

    s3_bucket: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9]$")] | None = None
    """The bucket of all objects; required where `storage` is `s3`."""
    s3_endpoint_url: _Url | None = None
    """The server of an S3 compatible store, as this process reaches it. None: AWS itself."""
    s3_public_endpoint_url: _Url | None = None
    """The same store as clients reach it. Only signs URLs, since SigV4 signs the host; None: as above."""
    s3_region: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,32}$")] = "us-east-1"
    """Takes part in every signature: a wrong one is answered with 400 or a redirect."""
    s3_addressing_style: Literal["auto", "path", "virtual"] = "auto"
    """Bucket in the host (`virtual`) or in the path; `auto`: as boto3 thinks. One host name wants `path`."""
    s3_checksums: Literal["auto", "when_required", "when_supported"] = "auto"
    """Whether requests carry a CRC that the store verifies. boto3's default `when_supported` breaks uploads
    to several compatibles; `auto` uses it only without `s3_endpoint_url`."""
    s3_connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Per attempt. Longer keeps a request waiting for a dead host; shorter fails across regions."""
    s3_read_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Per attempt and silence, not per answer. Shorter than the store's longest CompleteMultipartUpload makes
    us ask twice; longer holds a thread that much longer when the store hangs."""
    s3_max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    """Per call, the first included. More hides longer outages behind longer requests (up to 2 + 4 + 8 s of
    waiting at 4); fewer makes an ordinary 503 SlowDown an error."""
    s3_retry_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    """No attempt begins later than this after the first one of its call. A store that hangs costs this and
    one read timeout at most, together less than the half minute that a request may take; more hides longer
    outages behind longer requests."""
    s3_part_size_bytes: Annotated[int, Field(ge=5 * MEBIBYTE, le=512 * MEBIBYTE)] = 8 * MEBIBYTE
    """Held in memory, up to two per upload. S3 takes no less than 5 MiB and no more than 10,000 parts."""
    s3_pool_connections: Annotated[int, Field(ge=1, le=512)] = 32
    """Connections that are kept for reuse. Fewer than there are storage threads: each further call pays a new
    TCP and TLS handshake; more only hold sockets."""

    @property
    def s3_request_checksums(self) -> Literal["when_required", "when_supported"]:
        """`s3_checksums` with `auto` resolved."""
        if self.s3_checksums == "auto":
            return "when_required" if self.s3_endpoint_url else "when_supported"
        return self.s3_checksums

    @model_validator(mode="after")
    def _public_endpoint_needs_an_endpoint(self) -> Self:
        if self.s3_public_endpoint_url and not self.s3_endpoint_url:
            raise ValueError("s3_public_endpoint_url is of use only together with s3_endpoint_url")
        return self
