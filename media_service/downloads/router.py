"""The bytes of files: by stream, by redirect, by signed URL. API room."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from media_service.auth.dependencies import MaybeCaller, Reader
from media_service.downloads.dependencies import Blobs, Downloads, WantedDisposition
from media_service.downloads.schemas import (
    DEFAULT_EXPIRY_SECONDS,
    MAX_EXPIRY_SECONDS,
    SignedUrl,
    SignedUrlBatch,
    SignedUrlItem,
    SignedUrlItems,
)
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit, RateLimit
from media_service.web.blob_response import blob_response
from media_service.web.guarded_route import GuardedRoute
from media_service.web.responses import problems

router = APIRouter(prefix="/v1", tags=["Downloads"], dependencies=[Depends(RateLimit(RateClass.CONTENT))])
signing_router = APIRouter(
    prefix="/v1",
    tags=["Downloads"],
    route_class=GuardedRoute,
    dependencies=[Depends(RateLimit(RateClass.SIGN))],
)
signed_router = APIRouter(
    prefix="/v1/signed",
    tags=["Downloads"],
    dependencies=[Depends(AddressRateLimit(RateClass.CONTENT))],
)

ExpiresIn = Annotated[int, Query(ge=1, le=MAX_EXPIRY_SECONDS, description="Seconds; at most 7 days.")]

_BINARY = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", **_BINARY},
    206: {"description": "The range that was asked for", **_BINARY},
    304: {"description": "Not modified"},
    **problems(401, 403, 404, 412, 416, 422, 503),
}


@router.head("/files/{file_id}/content", include_in_schema=False)
@router.get("/files/{file_id}/content", response_class=Response, responses=BYTES)
async def get_content(
    file_id: UUID,
    request: Request,
    caller: MaybeCaller,
    downloads: Downloads,
    storage: Blobs,
    disposition: WantedDisposition = None,
) -> Response:
    """Stream the original, with ranges and conditional requests (RFC 9110)."""
    found = await downloads.original(file_id, caller, disposition=disposition)
    return await blob_response(request, storage, found)


@router.head("/files/{file_id}/renditions/{name}/content", include_in_schema=False)
@router.get("/files/{file_id}/renditions/{name}/content", response_class=Response, responses=BYTES)
async def get_rendition_content(
    file_id: UUID,
    name: str,
    request: Request,
    caller: MaybeCaller,
    downloads: Downloads,
    storage: Blobs,
    disposition: WantedDisposition = None,
) -> Response:
    """Stream a rendition, with ranges and conditional requests (RFC 9110)."""
    found = await downloads.rendition(file_id, name, caller, disposition=disposition)
    return await blob_response(request, storage, found)


@router.get(
    "/files/{file_id}/download",
    status_code=307,
    response_class=Response,
    responses={307: {"description": "To the bytes"}, **problems(401, 403, 404, 422)},
)
async def redirect_to_download(
    file_id: UUID, caller: MaybeCaller, downloads: Downloads, disposition: WantedDisposition = None
) -> Response:
    """Redirect to the original: a signed URL, or for whom it is merely public, its address.

    S3's own URLs of files of others end after 5 minutes.
    """
    lifetime = timedelta(seconds=DEFAULT_EXPIRY_SECONDS)
    url = await downloads.redirect(file_id, caller, disposition=disposition, expires_in=lifetime)
    # A redirect that outlives its target would be a broken link in somebody's cache.
    return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})


@signing_router.get("/files/{file_id}/url", responses=problems(401, 403, 404, 422))
async def get_signed_url(
    file_id: UUID,
    caller: Reader,
    downloads: Downloads,
    expires_in: ExpiresIn = DEFAULT_EXPIRY_SECONDS,
    rendition: Annotated[str | None, Query(max_length=32)] = None,
    disposition: WantedDisposition = None,
) -> SignedUrl:
    """Make a URL that works without other credentials until it expires."""
    link = await downloads.link(
        file_id,
        caller,
        rendition_name=rendition,
        disposition=disposition,
        expires_in=timedelta(seconds=expires_in),
    )
    return SignedUrl(url=link.url, expires_at=link.expires_at)


@signing_router.post("/urls", responses=problems(400, 401, 403, 404, 413, 422))
async def sign_urls(batch: SignedUrlBatch, caller: Reader, downloads: Downloads) -> SignedUrlItems:
    """Make signed URLs for many files in one call."""
    links = await downloads.links(batch.items, caller, expires_in=timedelta(seconds=batch.expires_in))
    items = [
        SignedUrlItem(
            file_id=item.file_id, rendition=item.rendition, url=link.url, expires_at=link.expires_at
        )
        for item, link in zip(batch.items, links, strict=True)
    ]
    return SignedUrlItems(items=items)


@signed_router.head("/files/{file_id}/content", include_in_schema=False)
@signed_router.get("/files/{file_id}/content", response_class=Response, responses=BYTES)
async def get_signed_content(
    file_id: UUID, request: Request, downloads: Downloads, storage: Blobs
) -> Response:
    """Stream an original by a URL that the service signed."""
    query = request.query_params.multi_items()
    found = await downloads.signed(file_id, None, path=request.url.path, query=query)
    return await blob_response(request, storage, found)


@signed_router.head("/files/{file_id}/renditions/{name}/content", include_in_schema=False)
@signed_router.get("/files/{file_id}/renditions/{name}/content", response_class=Response, responses=BYTES)
async def get_signed_rendition_content(
    file_id: UUID, name: str, request: Request, downloads: Downloads, storage: Blobs
) -> Response:
    """Stream a rendition by a URL that the service signed."""
    query = request.query_params.multi_items()
    found = await downloads.signed(file_id, name, path=request.url.path, query=query)
    return await blob_response(request, storage, found)
