"""Errors of resumable uploads, as their two protocols spell them. API room.

Clients of tus give up at most of the 4xx and try again at 409, 423 and any 5xx (tus-js-client), so what may
pass is no 4xx here, and what does not pass is no 5xx.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.web.problems import problem_of

TUS_VERSION = "1.0.0"

_KINDS = {
    "quota-exceeded": ErrorKind.FORBIDDEN,
    "storage-full": ErrorKind.UNAVAILABLE,
    "body-timeout": ErrorKind.UNAVAILABLE,  # what came is kept, and a client may go on
}
"""Where the kind of an error elsewhere is not what clients of uploads act on rightly."""

_DRAFT_TYPES = {
    "upload-offset-mismatch": "https://iana.org/assignments/http-problem-types#mismatching-upload-offset",
    "inconsistent-upload-length": "https://iana.org/assignments/http-problem-types#inconsistent-upload-length",
}
"""Problem types of the IETF draft (§7)."""


class ResumableRoute(APIRoute):
    """The `route_class` of resumable uploads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except MediaServiceError as error:
                return _answer(request, error)

        return handled


def _answer(request: Request, error: MediaServiceError) -> Response:
    is_tus = "tus-resumable" in request.headers
    translated = _translated(error, is_tus=is_tus)
    answer = problem_of(request, translated)
    answer.headers.update(_headers_of(request.headers, error, is_tus=is_tus))
    return answer


def _translated(error: MediaServiceError, *, is_tus: bool) -> MediaServiceError:
    kind = _KINDS.get(error.code, error.kind)
    draft = {} if is_tus or error.code not in _DRAFT_TYPES else {"type": _DRAFT_TYPES[error.code]}
    if kind is error.kind and not draft:
        return error
    translated = MediaServiceError(kind, error.code, error.detail, **error.members, **draft)
    translated.__cause__ = error.__cause__
    return translated


def _headers_of(headers: Mapping[str, str], error: MediaServiceError, *, is_tus: bool) -> dict[str, str]:
    if error.code == "unsupported-tus-version":
        return {"Tus-Resumable": TUS_VERSION, "Tus-Version": TUS_VERSION}
    if is_tus:
        return {"Tus-Resumable": TUS_VERSION}
    found = {}
    if (version := headers.get("upload-draft-interop-version", "")).isdecimal():
        found["Upload-Draft-Interop-Version"] = version
    if error.code == "upload-offset-mismatch":
        found |= {"Upload-Offset": str(error.members["expected-offset"]), "Upload-Complete": "?0"}
    return found
