"""`/v1/upload-tokens`. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status

from media_service.auth.dependencies import Writer, forbid_storing
from media_service.files.dependencies import Presenter
from media_service.pagination import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_LIMIT
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.upload_tokens.dependencies import UploadTokensDep
from media_service.upload_tokens.schemas import (
    NewUploadTokenOut,
    UploadTokenOut,
    UploadTokenPage,
    UploadTokenRequest,
)
from media_service.web.guarded_route import GuardedRoute
from media_service.web.responses import problems

router = APIRouter(
    prefix="/v1/upload-tokens",
    tags=["Upload tokens"],
    route_class=GuardedRoute,
    dependencies=[Depends(forbid_storing), Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))],
)


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(400, 401, 403, 413, 422))
async def create_upload_token(
    wanted: UploadTokenRequest, caller: Writer, upload_tokens: UploadTokensDep
) -> NewUploadTokenOut:
    """Make a token that a browser may hold: good for uploads within these bounds, and for nothing else.

    Its secret is in this answer and nowhere else. Send it as an API key is sent.
    """
    return NewUploadTokenOut.from_new(await upload_tokens.create(caller, wanted.terms))


@router.get("", responses=problems(400, 401, 403, 422))
async def list_upload_tokens(
    request: Request,
    response: Response,
    caller: Writer,
    upload_tokens: UploadTokensDep,
    presenter: Presenter,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS)] = None,
) -> UploadTokenPage:
    """List your upload tokens, newest first, without their secrets. They go a week after their expiry."""
    page = await upload_tokens.list_page(caller, cursor=cursor, limit=limit)
    if page.next_cursor is not None:
        response.headers["Link"] = presenter.next_link(
            "/v1/upload-tokens", request.query_params.multi_items(), page.next_cursor
        )
    return UploadTokenPage(
        items=[UploadTokenOut.from_row(token) for token in page.tokens], next_cursor=page.next_cursor
    )


@router.delete(
    "/{token_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 422),
)
async def revoke_upload_token(token_id: UUID, caller: Writer, upload_tokens: UploadTokensDep) -> None:
    """End an upload token at once: an upload that is on its way with it makes no file. Its files stay."""
    await upload_tokens.revoke(token_id, caller)
