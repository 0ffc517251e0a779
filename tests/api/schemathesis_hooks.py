"""What Schemathesis has to be told of our media types; loaded by `test_openapi_engine.py`."""

import schemathesis

for media_type in ("application/offset+octet-stream", "application/partial-upload"):
    schemathesis.serializer.alias(media_type, "application/octet-stream")
