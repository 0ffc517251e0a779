"""The only place where object keys are spelled. Core room.

Keys are made of our own ids and digests alone: no name, type or other string of a user reaches a key.
"""

import re
from uuid import UUID

from media_service.exceptions import ErrorKind, MediaServiceError

ORIGINALS = "originals/"
RENDITIONS = "renditions/"
TAILS = "uploads/"

_KEY = re.compile(r"(?:originals|renditions|uploads|health)(?:/[a-z0-9-]{1,64}){1,4}")


def original_key(file_id: UUID) -> str:
    """The one object that holds the bytes a user sent."""
    return f"{ORIGINALS}{file_id}"


def rendition_key(file_id: UUID, *, recipe: str, sha256: str) -> str:
    """A rendition's object: recipe digest, then digest of its bytes.

    A late worker that was fenced out can so never change an object that a row already describes.
    """
    return f"{renditions_prefix(file_id)}{recipe}/{sha256[:16]}"


def renditions_prefix(file_id: UUID) -> str:
    """All renditions of a file live under this prefix."""
    return f"{RENDITIONS}{file_id}/"


def tail_key(session_id: UUID, tail_id: UUID) -> str:
    """What a resumable upload has beyond its last whole part.

    Each time another object: a late writer of an older tail can so never change the newer one.
    """
    return f"{tails_prefix(session_id)}{tail_id}"


def tails_prefix(session_id: UUID) -> str:
    """All tails of a session live under this prefix."""
    return f"{TAILS}{session_id}/"


def owner_of(key: str) -> UUID | None:
    """The file that an object belongs to, or the session of a tail; None for a key that is not ours."""
    try:
        return UUID(key.split("/")[1])
    except (ValueError, IndexError):
        return None


def checked_key(key: str) -> str:
    """The key, if it has the grammar of a key; a storage calls this before a key becomes a path.

    Raises MediaServiceError: a wrong key is a defect of ours, and it must not become a path.
    """
    if not is_key(key):
        raise MediaServiceError(
            ErrorKind.INVALID, "bad-object-key", "This is not an object key of the service."
        )
    return key


def is_key(key: str) -> bool:
    """Whether a name that a storage lists is ours: a bucket may hold what others put there."""
    return _KEY.fullmatch(key) is not None


def checked_prefix(prefix: str) -> str:
    """The prefix, if it is a whole key or ends in "/" where a key's segment ends. Raises as `checked_key`."""
    checked_key(f"{prefix}0" if prefix.endswith("/") else prefix)
    return prefix
