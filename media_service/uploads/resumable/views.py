"""What protocols hand in, and what they are told of a session. Core room."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from media_service.uploads.models import UploadSession


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a client says of a file before its bytes."""

    protocol: str
    length_bytes: int | None
    """None: it will be said later."""
    announced: dict[str, Any]
    """`filename`, `visibility`, `tags` and `custom`, checked."""
    metadata_header: str | None = None
    concat_header: str | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """Bytes that follow those from before."""

    offset_bytes: int
    declared_bytes: int | None = None
    """How many the request says it has."""
    length_bytes: int | None = None
    """Of the whole, if this request says it."""
    is_last: bool = False
    """The upload ends where these bytes do (IETF draft, `Upload-Complete: ?1`)."""
    checksum: tuple[str, bytes] | None = None
    """Algorithm and digest of these bytes alone: they count all together, or not at all."""


@dataclass(frozen=True, slots=True)
class UploadView:
    """A session as its client sees it."""

    id: UUID
    protocol: str
    offset_bytes: int
    length_bytes: int | None
    expires_at: datetime
    metadata_header: str | None
    concat_header: str | None
    file_id: UUID | None
    """The file that it has become."""
    is_finished: bool

    @classmethod
    def of(cls, row: UploadSession) -> "UploadView":
        is_file = row.is_finished and not row.is_partial
        return cls(
            id=row.id,
            protocol=row.protocol,
            offset_bytes=row.offset_bytes,
            length_bytes=row.length_bytes,
            expires_at=datetime.fromtimestamp(row.lease_until_ms / 1000, UTC),
            metadata_header=row.metadata_header,
            concat_header=row.concat_header,
            file_id=row.file_id if is_file else None,
            is_finished=row.is_finished,
        )
