"""`POST /v1/files`. API room."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from media_service.auth.dependencies import Writer
from media_service.files.dependencies import Presenter
from media_service.files.schemas import FileItems
from media_service.uploads.dependencies import Uploads
from media_service.uploads.headers import is_form
from media_service.uploads.schemas import UPLOAD_BODY, RawUploadQuery
from media_service.web.responses import problems

router = APIRouter(prefix="/v1", tags=["Files"])


@router.post(
    "/files",
    status_code=status.HTTP_201_CREATED,
    openapi_extra=UPLOAD_BODY,
    responses=problems(400, 401, 403, 413, 415, 422, 503, 507),
)
async def upload_files(
    request: Request,
    response: Response,
    caller: Writer,
    uploads: Uploads,
    presenter: Presenter,
    query: Annotated[RawUploadQuery, Query()],
) -> FileItems:
    """Upload one or several files, as a form or as a raw body.

    The files are durable when the answer arrives, and can be downloaded at once. Images are then
    `processing` until their renditions and metadata are made.
    """
    if is_form(request.headers.get("content-type")):
        files = await uploads.receive_form(caller, headers=request.headers, chunks=request.stream())
    else:
        files = await uploads.receive_raw(caller, query, headers=request.headers, chunks=request.stream())
    response.headers["Location"] = presenter.file_url(files[0].id)
    return FileItems(items=[presenter.file(file, []) for file in files])
