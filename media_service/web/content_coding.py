"""Refuses bodies in a Content-Encoding. API room.

The service stores bytes as they come and would call a compressed photo an archive; to undo the coding would
let a kilobyte become a gigabyte. RFC 9110 §8.4 names 415 for a coding that is not acceptable, §12.5.3 how to
say which is.
"""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.web.problems import problem_of


class IdentityOnly:
    """Answers 415 to a request that declares another coding of its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_encoded(scope):
            await self._app(scope, receive, send)
            return
        error = MediaServiceError(
            ErrorKind.UNSUPPORTED_TYPE,
            "unsupported-content-encoding",
            "Bodies are stored as the bytes they are; send them without a Content-Encoding.",
        )
        answer = problem_of(Request(scope), error)
        answer.headers["Accept-Encoding"] = "identity"
        await answer(scope, receive, send)


def _is_encoded(scope: Scope) -> bool:
    codings = ",".join(Headers(scope=scope).getlist("content-encoding")).lower()
    return any(coding.strip() not in {"", "identity"} for coding in codings.split(","))
