"""Checksums of the bytes of one request (tus 1.0, checksum). Core room."""

import hashlib

from media_service.uploads.resumable.errors import checksum_mismatch

ALGORITHMS = ("sha1", "sha256", "md5")
"""tus asks for sha1; it guards against accidents on the way, not against anybody."""


class Checksum:
    """Grows with the bytes of a request, and is compared at its end."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._expected = expected

    def update(self, data: bytes) -> None:
        self._digest.update(data)

    def check(self) -> None:
        """Raises MediaServiceError (checksum mismatch)."""
        if self._digest.digest() != self._expected:
            raise checksum_mismatch()
