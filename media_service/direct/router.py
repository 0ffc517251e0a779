"""`/v1/uploads/direct`, and the signed URLs that stand in for the storage's own. API room."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status

from media_service.auth.dependencies import Uploader, Writer
from media_service.direct import presentation
from media_service.direct.dependencies import Completion, Directs, Receiver
from media_service.direct.plans import MAX_PARTS
from media_service.direct.schemas import (
    DirectCompletionRequest,
    DirectUploadOut,
    DirectUploadState,
    NewDirectUpload,
    PartUrls,
)
from media_service.direct.uploads import upload_not_found
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.dependencies import Presenter
from media_service.files.schemas import FileOut
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit, RateLimit
from media_service.uploads.headers import declared_length
from media_service.web.guarded_route import GuardedRoute
from media_service.web.problems import MethodRefused
from media_service.web.responses import problems

router = APIRouter(prefix="/v1", tags=["Direct uploads"], route_class=GuardedRoute)

_BEGINS = [Depends(RateLimit(RateClass.UPLOAD))]
_GOES_ON = [Depends(RateLimit(RateClass.EXEMPT))]
"""How many requests an upload takes is the affair of its parts."""

PART_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of the part.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "/uploads/direct",
    dependencies=_BEGINS,
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses=problems(400, 401, 403, 413, 422, 503, 507),
)
async def start_direct_upload(wanted: NewDirectUpload, caller: Uploader, directs: Directs) -> DirectUploadOut:
    """Begin an upload whose bytes go to the storage itself, by URLs that work without other credentials."""
    upload = await directs.start(caller, wanted.to_announcement())
    return presentation.started(upload, await directs.urls(upload, presentation.first_numbers(upload)))


_OTHERS = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@router.api_route("/uploads/direct", dependencies=_GOES_ON, methods=_OTHERS, include_in_schema=False)
async def refuse_other_methods(_: Writer) -> None:
    """Else `/uploads/{upload_id}` would take "direct" for an id."""
    raise MethodRefused("POST")


@router.get(
    "/uploads/direct/{upload_id}",
    dependencies=_GOES_ON,
    responses=problems(401, 403, 404, 410, 422, 503),
)
async def get_direct_upload(upload_id: UUID, caller: Uploader, directs: Directs) -> DirectUploadState:
    """Say which parts have come, so that an interrupted upload can go on."""
    upload = await directs.find(upload_id, caller)
    return presentation.state(upload, await directs.arrived(upload))


@router.get(
    "/uploads/direct/{upload_id}/parts",
    dependencies=_GOES_ON,
    responses=problems(400, 401, 403, 404, 410, 422, 503),
)
async def sign_direct_parts(
    upload_id: UUID,
    caller: Uploader,
    directs: Directs,
    numbers: Annotated[str, Query(max_length=8192, description="Numbers of parts: `3` or `3,4,5`.")] = "1",
) -> PartUrls:
    """Make URLs for parts: for those that the first answer did not name, and for those whose time is over."""
    made = await directs.urls(await directs.find(upload_id, caller), part_numbers(numbers))
    return PartUrls(parts=presentation.part_urls(made), urls_expire_at=made.expire_at)


@router.post(
    "/uploads/direct/{upload_id}/complete",
    dependencies=_GOES_ON,
    status_code=status.HTTP_201_CREATED,
    responses=problems(400, 401, 403, 404, 409, 410, 413, 415, 422, 503, 507),
)
async def complete_direct_upload(
    upload_id: UUID,
    response: Response,
    caller: Uploader,
    completion: Completion,
    presenter: Presenter,
    request: DirectCompletionRequest | None = None,
) -> FileOut:
    """Make a file of what has come. May be repeated: the answer is the same file.

    Size and type are checked at once; `sha256` is null until a worker has computed it.
    """
    file = await completion.complete(upload_id, caller, request.etags() if request is not None else None)
    response.headers["Location"] = presenter.file_url(file.id)
    return presenter.file(file, file.renditions)


@router.delete(
    "/uploads/direct/{upload_id}",
    dependencies=_GOES_ON,
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 410, 422, 503),
)
async def abort_direct_upload(upload_id: UUID, caller: Uploader, directs: Directs) -> None:
    """Give up an upload with all that has come of it."""
    await directs.abort(upload_id, caller)


@router.put(
    "/signed/uploads/{upload_id}/parts/{number}",
    dependencies=[Depends(AddressRateLimit(RateClass.EXEMPT))],
    response_class=Response,
    openapi_extra=PART_BODY,
    responses=problems(400, 403, 404, 408, 410, 413, 422, 503, 507),
)
async def put_signed_part(
    upload_id: UUID,
    number: Annotated[int, Path(ge=1, le=MAX_PARTS)],
    request: Request,
    receiver: Receiver,
) -> Response:
    """Take a part by a URL that the service signed, where the storage cannot take it itself."""
    query = request.query_params.multi_items()
    upload = await receiver.signed(upload_id, method="PUT", path=request.url.path, query=query)
    if upload is None:
        raise upload_not_found()
    declared = declared_length(request.headers.get("content-length"))
    etag = await receiver.receive(upload, number, request.stream(), declared_bytes=declared)
    return Response(headers={"ETag": f'"{etag}"'})


def part_numbers(text: str) -> list[int]:
    """Numbers with commas between. Raises MediaServiceError (invalid)."""
    words = text.split(",")
    if not all(
        word.strip().isascii() and word.strip().isdigit() and len(word.strip()) <= 5 for word in words
    ):
        raise MediaServiceError(
            ErrorKind.INVALID, "no-such-part", "Name parts by their numbers, with commas between."
        )
    return list(dict.fromkeys(int(word) for word in words))
