"""What makes two upload requests the same. Core room."""

import hashlib
import json
from collections.abc import Sequence

from media_service.files.schemas import FileFields
from media_service.uploads.registration import ReceivedFile


def upload_fingerprint(
    protocol: str, query: Sequence[tuple[str, str]], fields: FileFields, received: Sequence[ReceivedFile]
) -> str:
    """A digest (hex) of all that must be equal: query, fields and, per file, name, size and SHA-256."""
    request = [
        "POST /v1/files",
        protocol,
        sorted(query),
        fields.model_dump(mode="json"),
        [[file.filename, file.size_bytes, file.sha256] for file in received],
    ]
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
