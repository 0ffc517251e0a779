"""The states of a file and the ways between them. Core room: decides, changes nothing."""

from enum import StrEnum


class FileStatus(StrEnum):
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    QUARANTINED = "quarantined"


DIGEST_MISMATCH = "digest-mismatch"
"""The reason of a failure after which the bytes are of no use to anybody."""


class FileKind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    OTHER = "other"


class Visibility(StrEnum):
    PRIVATE = "private"
    PUBLIC = "public"


TRANSITIONS: dict[FileStatus, frozenset[FileStatus]] = {
    FileStatus.PROCESSING: frozenset({FileStatus.READY, FileStatus.FAILED, FileStatus.QUARANTINED}),
    # Making presets again shows as `processing` only where a file had failed; a ready file stays ready.
    FileStatus.READY: frozenset({FileStatus.READY, FileStatus.QUARANTINED}),
    FileStatus.FAILED: frozenset({FileStatus.PROCESSING, FileStatus.READY, FileStatus.FAILED}),
    FileStatus.QUARANTINED: frozenset(),
}


def may_become(current: FileStatus, target: FileStatus) -> bool:
    """Whether a file may go from one state to another."""
    return target in TRANSITIONS[current]


_DOCUMENT_TYPES = (
    "application/pdf",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-",
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/epub+zip",
    "text/",
)


def kind_of(content_type: str) -> FileKind:
    """The kind of a sniffed content type."""
    for kind in (FileKind.IMAGE, FileKind.VIDEO, FileKind.AUDIO):
        if content_type.startswith(f"{kind}/"):
            return kind
    return FileKind.DOCUMENT if content_type.startswith(_DOCUMENT_TYPES) else FileKind.OTHER
