"""Images on the fly: `/v1/images`, and URLs for them. API room."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from media_service.auth.dependencies import MaybeCaller, Reader
from media_service.downloads.dependencies import Blobs
from media_service.downloads.router import BYTES
from media_service.downloads.schemas import SignedUrl
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.transforms.dependencies import Images, Options
from media_service.transforms.schemas import ImageUrlRequest
from media_service.transforms.service import ImageRequest
from media_service.web.blob_response import blob_response
from media_service.web.guarded_route import GuardedRoute
from media_service.web.responses import problems

router = APIRouter(prefix="/v1", tags=["Images"], dependencies=[Depends(RateLimit(RateClass.CONTENT))])
signing_router = APIRouter(
    prefix="/v1",
    tags=["Images"],
    route_class=GuardedRoute,
    dependencies=[Depends(RateLimit(RateClass.SIGN))],
)


@router.head("/images/{file_id}/{options}", include_in_schema=False)
@router.get("/images/{file_id}/{options}", response_class=Response, responses={**BYTES, **problems(400, 410)})
async def get_image(
    file_id: UUID,
    options: Options,
    request: Request,
    caller: MaybeCaller,
    images: Images,
    storage: Blobs,
) -> Response:
    """Make an image out of a file, or give the one that is stored already.

    For the file's owner, for everybody if the file is public and the options are a preset, and for whoever
    has a URL that the owner had signed.
    """
    query, accept = request.query_params.multi_items(), request.headers.get("accept")
    wanted = ImageRequest(file_id=file_id, options=options, query=query, accept=accept)
    found = await images.find(wanted, caller)
    try:
        return await blob_response(request, storage, found)
    except ObjectNotFoundError:
        await images.forget(file_id, found)  # its bytes are lost: it can be made again
        return await blob_response(request, storage, await images.find(wanted, caller))


@signing_router.post("/files/{file_id}/image-url", responses=problems(400, 401, 403, 404, 413, 422))
async def sign_image_url(file_id: UUID, wanted: ImageUrlRequest, caller: Reader, images: Images) -> SignedUrl:
    """Make a URL of an image that works without other credentials until it expires."""
    expires_in = timedelta(seconds=wanted.expires_in)
    signed = await images.sign(file_id, caller, wanted.options, expires_in=expires_in)
    return SignedUrl(url=signed.url, expires_at=signed.expires_at)
