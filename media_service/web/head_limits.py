"""Refuses requests whose head is too large, whatever the parser let pass. API room."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from media_service.web.limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_TARGET_BYTES
from media_service.web.problems import problem


class HeadLimits:
    """Answers 414 or 431 (RFC 9110 §15.5.15, RFC 6585 §5) before anything else looks at the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = _refusal(scope)
            if refusal is not None:
                status, code, detail, limit = refusal
                answer = problem(
                    Request(scope),
                    status=status,
                    code=code,
                    detail=detail,
                    members={"limit": limit},
                    headers={"Connection": "close"},
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str, str, int] | None:
    headers = scope["headers"]
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
        return 414, "uri-too-long", f"Path and query may have {MAX_TARGET_BYTES} bytes.", MAX_TARGET_BYTES
    if len(headers) > MAX_HEADERS:
        return 431, "headers-too-large", f"A request may have {MAX_HEADERS} header fields.", MAX_HEADERS
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        detail = f"The header fields of a request may have {MAX_HEADER_BYTES} bytes."
        return 431, "headers-too-large", detail, MAX_HEADER_BYTES
    return None
