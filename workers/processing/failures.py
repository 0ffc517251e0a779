"""Every way processing fails, by code. Core room.

A child sends only a code and numbers; kind and public sentence come from this table, so nothing that hostile
media wrote into a child reaches a client.
"""

from media_service.exceptions import ErrorKind, MediaServiceError

UNREADABLE_MEDIA = "unreadable-media"
TOO_MANY_PIXELS = "image-too-many-pixels"
TOO_LARGE_SIDE = "image-too-large-side"
TOO_MANY_FRAMES = "too-many-frames"
NO_SUCH_PAGE = "no-such-page"
SANDBOX_CRASHED = "sandbox-crashed"
SANDBOX_TIMEOUT = "sandbox-timeout"
SANDBOX_OUT_OF_MEMORY = "sandbox-out-of-memory"

_FAILURES = {
    UNREADABLE_MEDIA: (ErrorKind.UNPROCESSABLE, "The file is damaged, incomplete or not what its type says."),
    TOO_MANY_PIXELS: (ErrorKind.UNPROCESSABLE, "The image has more pixels than are processed here."),
    TOO_LARGE_SIDE: (ErrorKind.UNPROCESSABLE, "A side of the image is longer than is processed here."),
    TOO_MANY_FRAMES: (ErrorKind.UNPROCESSABLE, "The animation has more frames than are processed here."),
    NO_SUCH_PAGE: (ErrorKind.UNPROCESSABLE, "The file has fewer pages, or its pages cannot be told apart."),
    SANDBOX_CRASHED: (ErrorKind.CRASHED, "The process that read the file ended unexpectedly."),
    SANDBOX_TIMEOUT: (ErrorKind.CRASHED, "Processing the file took longer than is allowed."),
    SANDBOX_OUT_OF_MEMORY: (ErrorKind.CRASHED, "Processing the file took more memory than is allowed."),
}


class SandboxCause(Exception):  # noqa: N818 - never raised alone: the private half of a failure
    """What a child said about its failure: private, for logs only. Capped, but written by hostile input."""


def failure(code: str, **members: int) -> MediaServiceError:
    """The error for a code of this module. KeyError for any other code, which is a defect."""
    kind, detail = _FAILURES[code]
    return MediaServiceError(kind, code, detail, **members)
