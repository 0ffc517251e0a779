"""Signatures of the service's own URLs: HMAC-SHA256 over a canonical text, rotated by key id. Core room.

What is signed: the method class, the path, the expiry, the key id, every parameter in order of its name,
and the file's URL epoch, so that raising the epoch ends all signed URLs of a file at once.
"""

import base64
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from media_service.exceptions import ErrorKind, MediaServiceError

SIGNATURE_PARAMETERS = frozenset({"exp", "kid", "sig"})

MAX_URL_LIFETIME = timedelta(days=7)
"""The most that a signature of S3 (SigV4) can live, and so of ours. A signing key is kept for so long after
its successor was made; a URL that lived longer would end with its key."""


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Holds the keys by id; the first one signs, all verify."""

    keys: Mapping[str, bytes]

    def sign(
        self,
        path: str,
        parameters: Mapping[str, str],
        *,
        expires_at: int,
        epoch: int,
        method: str = "GET",
    ) -> str:
        """The path with its query, good until `expires_at` (Unix seconds); GET stands for HEAD, too."""
        kid = next(iter(self.keys))
        signature = self._signature(kid, path, parameters, expires_at=expires_at, epoch=epoch, method=method)
        query = urlencode({**parameters, "exp": str(expires_at), "kid": kid, "sig": signature})
        return f"{path}?{query}"

    def verify(
        self, path: str, query: Mapping[str, str], *, epoch: int, now: float, method: str = "GET"
    ) -> int:
        """Check a signed query and return its expiry.

        Raises MediaServiceError: forbidden for a signature that is not ours, gone for one that is over.
        """
        kid, given, expiry = query.get("kid", ""), query.get("sig", ""), query.get("exp", "")
        if kid not in self.keys or not _is_canonical_number(expiry):
            raise _bad_signature()
        parameters = {name: value for name, value in query.items() if name not in SIGNATURE_PARAMETERS}
        expected = self._signature(kid, path, parameters, expires_at=int(expiry), epoch=epoch, method=method)
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise _bad_signature()
        if int(expiry) < now:
            raise MediaServiceError(
                ErrorKind.GONE, "url-expired", "This signed URL has expired; ask for a new one."
            )
        return int(expiry)

    def _signature(
        self,
        kid: str,
        path: str,
        parameters: Mapping[str, str],
        *,
        expires_at: int,
        epoch: int,
        method: str,
    ) -> str:
        canonical = "\n".join(
            [method, path, str(expires_at), kid, str(epoch), urlencode(sorted(parameters.items()))]
        )
        digest = hmac.digest(self.keys[kid], canonical.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def single_valued(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a signed URL. Raises MediaServiceError (forbidden) if one comes twice.

    Readers differ in which of the two counts: what was verified must be what is used.
    """
    parameters: dict[str, str] = {}
    for name, value in query:
        if name in parameters:
            raise _bad_signature()
        parameters[name] = value
    return parameters


def _is_canonical_number(text: str) -> bool:
    """One way to spell each moment, so that one URL has one form."""
    return text.isascii() and text.isdigit() and len(text) <= 12 and str(int(text)) == text


def _bad_signature() -> MediaServiceError:
    return MediaServiceError(ErrorKind.FORBIDDEN, "bad-signature", "The signature of this URL is not valid.")
