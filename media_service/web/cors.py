"""Lets pages of other origins use the API in a browser (CORS of the Fetch standard). API room.

Stands outside of everything that answers: a page is shown an error, too, only if its answer has these
headers. The one thing outside of it is the HTTP parser, whose refusals (`malformed-http`, heads that never
end, too many connections) belong to no request; a browser sends none that it would refuse.
"""

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from media_service.web.origins import ANY
from media_service.web.problems import problem

ALLOWED_HEADERS = (
    "Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "Repr-Digest", "Content-Digest",
    "If-Match", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Defer-Length", "Upload-Concat",
    "Upload-Checksum", "Upload-Complete", "Upload-Draft-Interop-Version", "Tus-Resumable",
    "X-HTTP-Method-Override", "X-Request-ID", "X-Requested-With", "Last-Event-ID", "Range",
)  # fmt: skip

EXPOSED_HEADERS = (
    "Location", "Content-Location", "X-File-Id", "X-Request-ID", "ETag", "Link", "Retry-After", "RateLimit",
    "RateLimit-Policy", "Content-Range", "Accept-Ranges", "Content-Disposition", "Upload-Offset",
    "Upload-Length", "Upload-Metadata", "Upload-Expires", "Upload-Defer-Length", "Upload-Concat",
    "Upload-Complete", "Upload-Limit", "Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size",
    "Tus-Checksum-Algorithm", "Server-Timing",
)  # fmt: skip

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

PREFLIGHT_SECONDS = 7200
"""For how long a browser asks no second time; Chromium takes no more. A change of the settings reaches a page
that much later."""


def install_cors(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let pages of these origins in; without any, nothing is added, and no header says that CORS exists."""
    if not origins:
        return
    app.add_middleware(
        Cors,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        # Never beside `*`: any page could act with the cookies of whoever looks at it.
        allow_credentials=ANY not in origins,
        max_age=PREFLIGHT_SECONDS,
    )


class Cors(CORSMiddleware):
    """Starlette's, with problems as refusals. A tus discovery (OPTIONS without a method) is no preflight."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """The problem that answers a preflight in vain; None for everything else."""
        headers = Headers(scope=scope)
        if scope["method"] != "OPTIONS" or not {"origin", "access-control-request-method"} <= set(headers):
            return None
        answer = self.preflight_response(headers)
        if answer.status_code < 400:
            return None
        kept = {
            name: answer.headers[name]
            for name in ("Vary", "Access-Control-Allow-Origin")
            if name in answer.headers
        }
        detail = (
            "This origin, method or header is not on the list of those that pages of other origins may use."
        )
        return problem(Request(scope), status=400, code="cors-refused", detail=detail, headers=kept)
