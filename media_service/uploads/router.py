"""`POST /v1/files`. API room."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status

from media_service.auth.dependencies import Uploader
from media_service.files.dependencies import Presenter
from media_service.files.schemas import FileItems
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.uploads.dependencies import Uploads
from media_service.uploads.headers import is_form
from media_service.uploads.schemas import IDEMPOTENCY_KEY, UPLOAD_BODY, RawUploadQuery
from media_service.uploads.service import Repeatable, UploadRequest
from media_service.web.responses import problems

router = APIRouter(prefix="/v1", tags=["Files"], dependencies=[Depends(RateLimit(RateClass.UPLOAD))])


@router.post(
    "/files",
    status_code=status.HTTP_201_CREATED,
    openapi_extra=UPLOAD_BODY,
    responses=problems(400, 401, 403, 409, 410, 413, 415, 422, 503, 507),
)
async def upload_files(
    request: Request,
    response: Response,
    caller: Uploader,
    uploads: Uploads,
    presenter: Presenter,
    query: Annotated[RawUploadQuery, Query()],
    idempotency_key: Annotated[str | None, Header(description=IDEMPOTENCY_KEY)] = None,
) -> FileItems:
    """Upload one or several files, as a form or as a raw body.

    The files are durable when the answer arrives, and can be downloaded at once. Images are then
    `processing` until their renditions and metadata are made.

    Needs the scope `files:write`, or an upload token: 403 `upload-token-exhausted` once that is used up.
    """
    repeatable = None
    if idempotency_key is not None:
        repeatable = Repeatable(idempotency_key, request.query_params.multi_items())
    received = UploadRequest(request.headers, request.stream(), repeatable)
    if is_form(request.headers.get("content-type")):
        uploaded = await uploads.receive_form(caller, received)
    else:
        uploaded = await uploads.receive_raw(caller, received, query)
    response.headers["Location"] = presenter.file_url(uploaded.files[0].id)
    if not uploaded.is_replay:
        return FileItems(items=[presenter.file(file, []) for file in uploaded.files])
    response.headers["Idempotent-Replayed"] = "true"
    return FileItems(items=[presenter.file(file, file.renditions) for file in uploaded.files])
