"""What schemathesis must be told of this API: how bodies of its own content types are written."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream", "application/partial-upload")
def as_it_is(_: Any, value: Any) -> bytes:
    """Bytes of resumable uploads."""
    return value if isinstance(value, bytes) else str(value).encode()
