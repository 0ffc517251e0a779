"""How keys and unfinished uploads are spelled as paths below a local storage's root. Core room: pure.

    objects/originals/ab/{id}               the shard `ab` is the last two characters of the id, which are
    objects/renditions/ab/{id}/{recipe}/{sha256}    random also in time-ordered ids
    partial/{upload_id}.{key}               unfinished: `/` in the key is spelled `.`, which no key contains

The name of an unfinished file says all that is known of it, so there is no second file to keep in step. File
names end at 255 bytes, so a key may have 208 characters; the longest that `keys.py` spells has 81.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

_UPLOAD_ID = re.compile(
    r"(?P<kind>put|upload)-(?P<started>[0-9a-f]{1,12})-(?P<size>[0-9a-f]{1,10})-[0-9a-f]{16}"
)

PartialKind = Literal["put", "upload"]


@dataclass(frozen=True, slots=True)
class PartialName:
    """An unfinished file: a multipart upload, or a whole put that has not (or never) ended."""

    key: str
    upload_id: str

    @classmethod
    def new(cls, kind: PartialKind, key: str, *, part_size_bytes: int) -> Self:
        """A name that no other has: 64 random bits, beside when it began (ms) and the size of its parts."""
        started_ms = int(datetime.now(UTC).timestamp() * 1000)
        return cls(key, f"{kind}-{started_ms:x}-{part_size_bytes:x}-{secrets.token_hex(8)}")

    @classmethod
    def from_file_name(cls, name: str) -> Self | None:
        """The unfinished file of this name, or None for a name that we did not make."""
        upload_id, _, key = name.partition(".")
        return cls(key.replace(".", "/"), upload_id) if _UPLOAD_ID.fullmatch(upload_id) else None

    @property
    def is_wellformed(self) -> bool:
        """Whether the id may become part of a path: it may come from outside."""
        return _UPLOAD_ID.fullmatch(self.upload_id) is not None

    @property
    def is_upload(self) -> bool:
        """Whether parts may be put: not to the file of a whole put."""
        return self.is_wellformed and self.upload_id.startswith("upload-")

    @property
    def file_name(self) -> str:
        return f"{self.upload_id}.{self.key.replace('/', '.')}"

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.upload_id.split("-")[1], 16) / 1000, UTC)

    @property
    def part_size_bytes(self) -> int:
        return int(self.upload_id.split("-")[2], 16)


def object_path(key: str) -> str:
    """Where a checked key lies below `objects/`."""
    kind, identifier, *rest = key.split("/")
    return "/".join((kind, identifier[-2:], identifier, *rest))


def shard_path(key: str) -> str:
    """The directory that stays even when its last object goes, so that puts need not make it again."""
    kind, identifier = key.split("/")[:2]
    return f"{kind}/{identifier[-2:]}"


def listing_path(prefix: str) -> str:
    """The directory below `objects/` under which every key with a checked prefix that ends in "/" lies."""
    return object_path(prefix[:-1]) if prefix.count("/") > 1 else prefix[:-1]


def key_of_path(path: str) -> str:
    """The key of a path below `objects/`."""
    kind, _shard, *rest = path.split("/")
    return "/".join((kind, *rest))
