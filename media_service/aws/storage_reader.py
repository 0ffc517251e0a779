"""Reads the body of an S3 answer. Worker room."""

from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from botocore.response import StreamingBody

from media_service.aws.exceptions import translating_s3_errors
from media_service.storage.exceptions import StorageUnavailableError

_PATIENCE_SECONDS = 30.0
"""Waiting for the store that every body may cost. Less fails on an ordinary hiccup; more holds a thread."""

_MIN_BYTES_PER_SECOND = 64 * 1024
"""Slower, on top of that patience, is broken: botocore's read timeout is per recv(2), so a store that sends a
byte now and then would hold a thread for hours."""


class _Stream(Protocol):
    def read1(self, amt: int) -> bytes: ...


class S3Reader:
    """A BlobReader over a streaming body. Only the time spent waiting for the store counts as slow."""

    def __init__(self, body: StreamingBody, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._body = body
        # StreamingBody.read() waits until all it was asked for has come, however slowly; urllib3's read1()
        # returns after each recv(2), so that we can look at the clock.
        self._stream: _Stream = vars(body)["_raw_stream"]  # botocore has no public door to it
        self._rest_bytes = size_bytes
        self._patience_seconds = _PATIENCE_SECONDS

    def read(self, max_bytes: int) -> bytes:
        """As many bytes as asked for while there are any: small answers would cost a thread hop each."""
        wanted = min(max_bytes, self._rest_bytes)
        chunks: list[bytes] = []
        while wanted:
            chunk = self._next_chunk(wanted)
            chunks.append(chunk)
            wanted -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _next_chunk(self, max_bytes: int) -> bytes:
        started = monotonic()
        with translating_s3_errors():
            chunk = self._stream.read1(max_bytes)
        self._patience_seconds += len(chunk) / _MIN_BYTES_PER_SECOND - (monotonic() - started)
        if not chunk or self._patience_seconds < 0:
            self.close()
            raise StorageUnavailableError  # truncated, or a drip
        self._rest_bytes -= len(chunk)
        return chunk

    def close(self) -> None:
        """Abort: an unread rest is not drained, its connection is given up."""
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EmptyReader:
    """A BlobReader of a range without bytes: HTTP has no such range (RFC 9110 §14.1.1)."""

    size_bytes = 0

    def read(self, max_bytes: int) -> bytes:  # noqa: ARG002  (the port's signature)
        return b""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
