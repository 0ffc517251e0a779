"""The bytes of a stored object as an answer: full RFC 9110, whatever the storage. API room."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from media_service.exceptions import MediaServiceError
from media_service.storage.aio import AsyncBlobReader, AsyncStorage
from media_service.web.accel_redirect import AccelRedirect
from media_service.web.conditional import Validators
from media_service.web.ranges import ByteRange, parse_range

SAFE_HEADERS = {
    # A user's file must never run as a program of this origin, whatever it claims to be.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Representation:
    """An object and how it is to be shown."""

    key: str
    size_bytes: int
    content_type: str
    content_disposition: str
    cache_control: str
    validators: Validators
    more_headers: Mapping[str, str] = field(default_factory=dict)
    """Of every answer; `Vary` among them also of a 304 (RFC 9110 §15.4.5)."""

    def headers(self) -> dict[str, str]:
        """What a 200 says beside its length; a 304 repeats the first three (RFC 9110 §15.4.5)."""
        return {
            "ETag": self.validators.etag,
            "Last-Modified": self.validators.last_modified,
            "Cache-Control": self.cache_control,
            "Accept-Ranges": "bytes",
            "Content-Disposition": self.content_disposition,
            **SAFE_HEADERS,
            **self.more_headers,
        }


async def blob_response(request: Request, storage: AsyncStorage, found: Representation) -> Response:
    """Answer a GET or HEAD with an object or a part of it.

    Raises MediaServiceError: precondition failed, range not satisfiable, and what the storage raises.
    """
    if found.validators.check(request.headers):
        return _not_modified(found)
    if request.method == "HEAD":
        return _head(found)  # a Range on HEAD is ignored (RFC 9110 §14.2)
    wanted = _wanted_range(request.headers, found)
    proxy: AccelRedirect | None = request.app.state.accel_redirect
    if proxy is not None and proxy.sends(found.key, request.headers):
        return proxy.response(found.key, content_type=found.content_type, headers=found.headers())
    if wanted is None:
        reader = await storage.open(found.key)
        return BlobStream(reader, 200, found, {"Content-Length": str(found.size_bytes)})
    reader = await storage.open(found.key, start=wanted.start, size_bytes=wanted.size_bytes)
    headers = {
        "Content-Length": str(wanted.size_bytes),
        "Content-Range": wanted.content_range(found.size_bytes),
    }
    return BlobStream(reader, 206, found, headers)


def _wanted_range(headers: Mapping[str, str], found: Representation) -> ByteRange | None:
    if "range" not in headers or not found.validators.allows_range(headers.get("if-range")):
        return None
    return parse_range(headers["range"], size_bytes=found.size_bytes)


def _not_modified(found: Representation) -> Response:
    headers = {name: found.headers()[name] for name in ("ETag", "Last-Modified", "Cache-Control")}
    return Response(status_code=304, headers={**headers, **found.more_headers})


def _head(found: Representation) -> Response:
    headers = {**found.headers(), "Content-Length": str(found.size_bytes)}
    return Response(status_code=200, headers=headers, media_type=found.content_type)


class BrokenOffError(Exception):
    """The storage failed in the middle of an answer; its cause is the MediaServiceError.

    Not one itself: those have handlers, which can only answer what has no answer yet.
    """


class BlobStream(StreamingResponse):
    """Streams a reader and lets go of it, also when the client goes away in the middle.

    If the storage breaks off, the connection ends short of its Content-Length: never a clean short answer.
    """

    def __init__(
        self, reader: AsyncBlobReader, status: int, found: Representation, headers: Mapping[str, str]
    ) -> None:
        super().__init__(self._chunks(), status_code=status, headers={**found.headers(), **headers})
        # Set by hand: a text type must not gain a charset that nobody checked.
        self.headers["Content-Type"] = found.content_type
        self._reader = reader

    async def _chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._reader.chunks():
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except MediaServiceError as error:
            raise BrokenOffError from error
        finally:
            await self._reader.close()
