"""How problems stand in the OpenAPI document. API room."""

import http
from typing import Any

from pydantic import BaseModel, ConfigDict

MEDIA_TYPE = "application/problem+json"

CHECKSUM_MISMATCH = 460
"""tus 1.0, checksum; HTTP itself does not know it."""

ANYWHERE = (414, 431, 500, 503)
"""What stands before the routes may answer, or a defect behind them."""
WITH_A_BODY = (408, 413, 415)
"""It stops, is too large, or has a Content-Encoding."""


RATE_LIMIT_HEADERS: dict[str, dict[str, Any]] = {
    "RateLimit": {
        "description": "What remains of the limit: `r` requests, and more in `t` seconds "
        "(draft-ietf-httpapi-ratelimit-headers). Not there if nothing was counted.",
        "schema": {"type": "string", "examples": ['"read";r=11999;t=42']},
    },
    "RateLimit-Policy": {
        "description": "The limit itself: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"read";q=12000;w=60']},
    },
    "Retry-After": {
        "description": "Seconds until a request may pass again.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
"""Components of the document."""


class Problem(BaseModel):
    """An error by RFC 9457. Some problems have more members, such as `limit_bytes` or `errors`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str | None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may end with these statuses."""
    return {status: _described(status) for status in statuses}


def complete(operation: dict[str, Any], *, is_limited: bool) -> None:
    """Add to an operation of the document what may come from before its route."""
    more = problems(
        *ANYWHERE, *(WITH_A_BODY if "requestBody" in operation else ()), *((429,) if is_limited else ())
    )
    every = {**{str(status): response for status, response in more.items()}, **operation["responses"]}
    operation["responses"] = dict(sorted(every.items()))
    if is_limited:
        for status, response in operation["responses"].items():
            response["headers"] = {**response.get("headers", {}), **_rate_limit_headers(status)}


def _rate_limit_headers(status: str) -> dict[str, Any]:
    names = RATE_LIMIT_HEADERS if status == "429" else ("RateLimit", "RateLimit-Policy")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _described(status: int) -> dict[str, Any]:
    phrase = "Checksum Mismatch" if status == CHECKSUM_MISMATCH else http.HTTPStatus(status).phrase
    return {
        "description": phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
