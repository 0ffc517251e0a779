"""Answers that clients may keep, and ask about with `If-None-Match` before each use. API room."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from media_service.web.conditional import Validators

PRIVATE = "private, no-cache"
"""Kept by the client alone, and checked by ETag before each use (RFC 9111 §5.2.2.4)."""
FOR_ALL = "no-cache"
"""The same for everybody, and new after an upgrade."""

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not modified: what `If-None-Match` names is what there is"}
}
"""For the `responses` of an operation that answers so."""


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A body as it is sent, and its entity tag, with quotes."""

    body: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)


def json_body(shown: BaseModel, *, etag: str | None = None) -> JsonBody:
    """What clients are shown, with the tag of its bytes unless it has one already."""
    body = shown.model_dump_json().encode()
    return JsonBody(body, etag or _tag_of(body))


def json_answer(request: Request, found: JsonBody) -> Response:
    """Answer a GET for what is somebody's. Raises MediaServiceError (precondition failed)."""
    return not_modified(request, found.etag) or Response(
        found.body,
        media_type="application/json",
        headers={"ETag": found.etag, "Cache-Control": PRIVATE, **found.headers},
    )


def page_answer(request: Request, html: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer a GET for a page that everybody may see. Raises MediaServiceError (precondition failed)."""
    body = html.encode()
    etag = _tag_of(body)
    return not_modified(request, etag, cache_control=FOR_ALL) or Response(
        body,
        media_type="text/html",
        headers={"ETag": etag, "Cache-Control": FOR_ALL, **(headers or {})},
    )


def not_modified(request: Request, etag: str, *, cache_control: str = PRIVATE) -> Response | None:
    """A 304 if the client has what this tag names. Raises MediaServiceError (precondition failed)."""
    if not Validators(etag).check(request.headers):
        return None
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": cache_control})


def _tag_of(body: bytes) -> str:
    """A strong entity tag: the same bytes have the same one, and no others."""
    return f'"{base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:16]).rstrip(b"=").decode()}"'
