"""What the sweeper finds, and the shape of its steps: find, then act, or leave that out. Core room."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a finding is; the word of the log and of the command line."""

    ABANDONED_UPLOAD = "abandoned_upload"
    """A session whose process died, with all its bytes."""
    PAST_IDEMPOTENCY_KEY = "past_idempotency_key"
    PAST_UPLOAD_TOKEN = "past_upload_token"  # noqa: S105 - the word for it
    PAST_API_KEY = "past_api_key"
    PAST_LOGIN = "past_login"
    DEAD_WORKER = "dead_worker"
    UNKNOWN_UPLOAD = "unknown_upload"
    """One that the storage has begun and no session knows; a put to local storage that never ended."""
    UNOWNED_OBJECT = "unowned_object"
    LEFT_FILE = "left_file"
    """A temporary file or folder of a process of this machine that was killed."""
    WRONG_USAGE = "wrong_usage"
    """A user whose counters of stored bytes and files are not those of the user's files."""
    MISSING_RENDITION = "missing_rendition"
    """A row without its object, which can be made again."""
    MISSING_BYTES = "missing_bytes"
    """A row without its object, which nothing here can bring back."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: its key, id or path, and since when it is there, if that is known."""

    kind: Kind
    name: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some findings of one look, and the deed that is due; it says for which of them it was done.

    The deed comes right after the look, or never.
    """

    findings: Sequence[Finding]
    act: Callable[[], Sequence[Finding]]


class Step(Protocol):
    """Looks for one sort of things, a bounded bit at a time."""

    @property
    def is_through(self) -> bool:
        """Whether the last look came to the end of all that there is; the next one then starts over."""
        ...

    def look(self) -> Iterator[Batch]:
        """Go on where the look before stopped. Raises MediaServiceError, and then may start over."""
        ...
