"""`/v1/files` but for uploading: records. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status

from media_service.auth.dependencies import Deleter, Reader, Writer
from media_service.files.dependencies import Descriptions, Files, Presenter
from media_service.files.descriptions import PageQuery
from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.files.ordering import FileOrder
from media_service.files.queries import FileFilter
from media_service.files.schemas import (
    TAG_PATTERN,
    FileChange,
    FileOut,
    FilePage,
    FileReplacement,
    ProcessRequest,
    RenditionItems,
)
from media_service.jobs.schemas import JobOut
from media_service.pagination import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_LIMIT
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.web.guarded_route import GuardedRoute
from media_service.web.kept_answer import NOT_MODIFIED, JsonBody, json_answer, json_body, not_modified
from media_service.web.responses import problems

router = APIRouter(
    prefix="/v1",
    tags=["Files"],
    route_class=GuardedRoute,
    dependencies=[Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))],
)

IfMatch = Annotated[str | None, Header(description="The record's `etag`: act only if it has not changed.")]


@router.get(
    "/files", response_model=FilePage, responses={**NOT_MODIFIED, **problems(400, 401, 403, 412, 422)}
)
async def list_files(
    request: Request,
    caller: Reader,
    descriptions: Descriptions,
    presenter: Presenter,
    file_status: Annotated[FileStatus | None, Query(alias="status")] = None,
    kind: FileKind | None = None,
    visibility: Visibility | None = None,
    tag: Annotated[str | None, Query(max_length=100, pattern=TAG_PATTERN)] = None,
    q: Annotated[
        str | None,
        Query(max_length=200, description="Words of the name or the tags; the last one may be a beginning."),
    ] = None,
    order: Annotated[FileOrder, Query(description="`-created_at`: newest first.")] = FileOrder.NEWEST,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS)] = None,
) -> Response:
    """List files, page by page; a page stays right while files are added."""
    wanted = FileFilter(status=file_status, kind=kind, visibility=visibility, tag=tag, words=q)
    query = PageQuery(wanted, order, cursor, limit)
    place = descriptions.place_of_page(caller, query)
    if place is not None and (unchanged := not_modified(request, place.etag)):
        return unchanged
    page = await descriptions.page(caller, query, place)
    links = presenter.next_links("/v1/files", request.query_params.multi_items(), page.next_cursor)
    return json_answer(request, JsonBody(page.body, page.etag, links))


@router.get(
    "/files/{file_id}",
    response_model=FileOut,
    responses={**NOT_MODIFIED, **problems(401, 403, 404, 412, 422)},
)
async def get_file(file_id: UUID, request: Request, caller: Reader, descriptions: Descriptions) -> Response:
    """Describe one file: its state, metadata and renditions."""
    found = await descriptions.file(file_id, caller)
    return json_answer(request, JsonBody(found.body, found.etag))


@router.patch("/files/{file_id}", responses=problems(400, 401, 403, 404, 409, 412, 413, 422))
async def change_file(
    file_id: UUID,
    change: FileChange,
    response: Response,
    caller: Writer,
    files: Files,
    presenter: Presenter,
    if_match: IfMatch = None,
) -> FileOut:
    """Change any of `filename`, `visibility`, `tags` and `custom`."""
    changes = change.model_dump(exclude_unset=True)
    file = await files.change(file_id, caller, changes, if_match=if_match)
    return _with_etag(response, presenter.file(file, file.renditions))


@router.put("/files/{file_id}", responses=problems(400, 401, 403, 404, 409, 412, 413, 422))
async def replace_file(
    file_id: UUID,
    replacement: FileReplacement,
    response: Response,
    caller: Writer,
    files: Files,
    presenter: Presenter,
    if_match: IfMatch = None,
) -> FileOut:
    """Replace `filename`, `visibility`, `tags` and `custom`, all of them."""
    file = await files.change(file_id, caller, replacement.model_dump(), if_match=if_match)
    return _with_etag(response, presenter.file(file, file.renditions))


@router.delete(
    "/files/{file_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 409, 412, 422),
)
async def delete_file(file_id: UUID, caller: Deleter, files: Files, if_match: IfMatch = None) -> None:
    """Delete a file with its renditions and bytes."""
    await files.delete(file_id, caller, if_match=if_match)


@router.get(
    "/files/{file_id}/renditions",
    response_model=RenditionItems,
    responses={**NOT_MODIFIED, **problems(401, 403, 404, 412, 422)},
)
async def list_renditions(
    file_id: UUID, request: Request, caller: Reader, files: Files, presenter: Presenter
) -> Response:
    """List the renditions that a file has now."""
    found = await files.renditions(file_id, caller)
    items = [presenter.rendition(rendition) for rendition in found]
    return json_answer(request, json_body(RenditionItems(items=items)))


@router.post(
    "/files/{file_id}/process",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def process_file(
    file_id: UUID, caller: Writer, files: Files, request: ProcessRequest | None = None
) -> JobOut:
    """Make presets again, or new ones; the answer is the job that does it."""
    names = request.renditions if request is not None else None
    return JobOut.from_job(await files.process(file_id, caller, names))


@router.post(
    "/files/{file_id}/revoke-urls",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 422),
)
async def revoke_urls(file_id: UUID, caller: Writer, files: Files) -> None:
    """End all of a file's URLs that the service signed (those of S3 live on to their expiry)."""
    await files.revoke_urls(file_id, caller)


def _with_etag(response: Response, file: FileOut) -> FileOut:
    response.headers["ETag"] = file.etag
    return file
