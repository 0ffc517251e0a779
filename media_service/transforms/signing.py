"""URLs of images that work without credentials: a signature over the canonical path. Core room.

The keys, their rotation by id and the epoch that revokes per file are those of all signed URLs
(`auth/signing.py`). Options in another order are the same path, so they need no other signature.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from media_service.auth.signing import SIGNATURE_PARAMETERS, UrlSigner
from media_service.files.models import File
from media_service.transforms.image_spec import ImageSpec


def is_signed(query: Iterable[tuple[str, str]]) -> bool:
    """Whether a request means to be let in by a signature: then nothing else lets it in."""
    return any(name in SIGNATURE_PARAMETERS for name, _ in query)


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """Signs and verifies; `base_url` is where public links begin."""

    signer: UrlSigner
    base_url: str

    def sign(self, file: File, spec: ImageSpec, *, expires_at: int) -> str:
        """The whole URL, good until `expires_at` (Unix seconds)."""
        path = _canonical_path(file.id, spec)
        return self.base_url + self.signer.sign(path, {}, expires_at=expires_at, epoch=file.url_epoch)

    def verify(
        self, file_id: UUID, spec: ImageSpec, query: Mapping[str, str], *, epoch: int, now: float
    ) -> int:
        """The expiry of a good signature. Raises MediaServiceError (forbidden, gone)."""
        return self.signer.verify(_canonical_path(file_id, spec), query, epoch=epoch, now=now)


def _canonical_path(file_id: UUID, spec: ImageSpec) -> str:
    return f"/v1/images/{file_id}/{spec.canonical}"
