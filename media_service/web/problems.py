"""Every error as `application/problem+json` (RFC 9457), the framework's own included. API room."""

import http
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from media_service.auth.shapes import redacted
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.fields import Standing, rate_limit_fields
from media_service.rate_limits.window import Limit
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.web.problem_catalogue import title_of

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[ErrorKind, int] = {
    ErrorKind.INVALID: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.TIMED_OUT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.GONE: 410,
    ErrorKind.PRECONDITION_FAILED: 412,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.UNSUPPORTED_TYPE: 415,
    ErrorKind.RANGE_NOT_SATISFIABLE: 416,
    ErrorKind.UNPROCESSABLE: 422,
    ErrorKind.LOCKED: 423,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.CHECKSUM_MISMATCH: 460,  # tus 1.0, checksum
    ErrorKind.DAMAGED: 500,
    ErrorKind.CRASHED: 500,
    ErrorKind.UNREACHABLE: 502,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.STORAGE_FULL: 507,
    ErrorKind.QUOTA_EXCEEDED: 507,
}
"""The one place where a kind of error becomes an HTTP status."""

RETRY_AFTER_SECONDS = 5
"""When an unavailable dependency is worth another try."""


def problem(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document. `detail` and `members` are public."""
    body = {
        "type": f"/problems/{code}",
        "title": title_of(code),
        "status": status,
        "detail": detail,
        "instance": redacted(request.url.path),  # clients log problems
        "code": code,
        "request_id": request.scope.get("request_id"),
        **(members or {}),
    }
    return JSONResponse(
        body,
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of ours and of the framework with a problem document."""
    app.add_exception_handler(MediaServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def problem_of(request: Request, error: MediaServiceError) -> Response:
    """The problem document of one of our errors."""
    status = STATUS[error.kind]
    if error.__cause__ is not None and status >= 500:
        # The cause is private: it goes to the log, under the request's id, and never into the answer.
        log.warning("request.dependency_failed", code=error.code, cause=repr(error.__cause__))
    if isinstance(error, ObjectNotFoundError):
        # Either its file was deleted a moment ago, or bytes are lost: that must be seen.
        log.error("storage.object_missing", key=error.key)
    return problem(
        request,
        status=status,
        code=error.code,
        detail=error.detail,
        members=error.members,
        headers=_headers(error),
    )


def _headers(error: MediaServiceError) -> dict[str, str]:
    if error.kind is ErrorKind.RATE_LIMITED:
        return _rate_limit_headers(error.members)
    if "retry_after_seconds" in error.members:
        return {"Retry-After": str(error.members["retry_after_seconds"])}
    match error.kind:
        case ErrorKind.UNAUTHENTICATED:
            return {"WWW-Authenticate": 'Bearer realm="media-service"'}
        case ErrorKind.UNAVAILABLE:
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
        case ErrorKind.RANGE_NOT_SATISFIABLE:
            return {"Content-Range": f"bytes */{error.members['size_bytes']}"}
        case _:
            return {}


def _rate_limit_headers(refusal: Mapping[str, Any]) -> dict[str, str]:
    seconds = refusal["retry_after_seconds"]
    limit = Limit(refusal["limit"], refusal["window_seconds"])
    standing = Standing(refusal["policy"], limit, remaining=0, reset_seconds=seconds)
    return {"Retry-After": str(seconds), **rate_limit_fields([standing])}


async def _on_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MediaServiceError)  # noqa: S101 - registered for this type
    return problem_of(request, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    # What was sent is not repeated: it may be a secret in the wrong place.
    errors = [{"pointer": _pointer(item["loc"]), "detail": item["msg"]} for item in error.errors()]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem(request, status=400, code="malformed-json", detail="The body is not valid JSON.")
    return problem(
        request,
        status=422,
        code="invalid-request",
        detail="Some values of the request are missing or wrong; see 'errors'.",
        members={"errors": errors},
    )


def _pointer(location: tuple[Any, ...]) -> str:
    """A location of pydantic as a JSON pointer (RFC 6901), led by the part of the request."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)


_FRAMEWORK_CODES = {
    400: ("bad-request", "The request could not be understood."),
    404: ("not-found", "Nothing is at this address."),
    405: ("method-not-allowed", "This address does not take this method; see 'Allow'."),
}


class MethodRefused(HTTPException):
    """Raised by a handler that stands in the way of a route with a parameter: 405 with just these methods."""

    def __init__(self, *allowed: str) -> None:
        super().__init__(http.HTTPStatus.METHOD_NOT_ALLOWED)
        self.allowed = allowed


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    fallback = (http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), str(error.detail))
    code, detail = _FRAMEWORK_CODES.get(error.status_code, fallback)
    headers = error.headers
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(error.allowed) if isinstance(error, MethodRefused) else _allowed_methods(request)
        headers = {**(headers or {}), "Allow": allowed}
    return problem(request, status=error.status_code, code=code, detail=detail, headers=headers)


def _allowed_methods(request: Request) -> str:
    """All methods of an address (RFC 9110 §15.5.6); the framework names those of one route only."""
    allowed = [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    if "GET" in allowed and "HEAD" not in allowed:
        allowed.append("HEAD")  # answered by `head_as_get.py`, unknown to the routes
    return ", ".join(allowed)


async def _on_disconnect(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework's signature
    # Nobody reads this; it gives the canonical log line a status (499, as nginx has it).
    return Response(status_code=499)
