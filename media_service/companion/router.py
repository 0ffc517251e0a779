"""Uppy Companion's contract for S3: `/v1/s3`, and `/v1/companion/{upload_token}/s3`. API room.

The same handlers twice: with a credential as anywhere, and with one in the path, for clients that can send no
header.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status

from media_service.auth.dependencies import Uploader
from media_service.auth.scopes import Caller
from media_service.companion.dependencies import Companion, PathRateLimit, TokenRoute, identify_by_path
from media_service.companion.forms import FormReceiver
from media_service.companion.schemas import (
    MAX_FILENAME,
    CompletedUpload,
    FormParams,
    ListedPart,
    Multipart,
    MultipartCompletion,
    NewMultipart,
    SignedPart,
    SignedParts,
)
from media_service.companion.service import Named
from media_service.direct.plans import MAX_PARTS
from media_service.direct.router import part_numbers
from media_service.files.dependencies import Presenter
from media_service.files.schemas import FileOut
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit, RateLimit
from media_service.web.guarded_route import GuardedRoute
from media_service.web.responses import problems

TAG = "Companion"
METADATA = "metadata["

Number = Annotated[int, Path(ge=1, le=MAX_PARTS)]

FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The fields that were given with the address, then one file.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "key": {"type": "string"},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}


Key = Annotated[str, Query(max_length=128, description="As the first answer named it.")]


def add_routes(router: APIRouter, uploader: Any, limit: type[AddressRateLimit]) -> APIRouter:
    """Companion's routes for callers of one kind; `uploader` is what a handler declares to get its caller."""
    begins, goes_on = [Depends(limit(RateClass.UPLOAD))], [Depends(limit(RateClass.EXEMPT))]

    @router.get("/params", dependencies=begins, responses=problems(401, 403, 422, 503, 507))
    async def get_form_params(
        request: Request,
        caller: uploader,
        companion: Companion,
        filename: Annotated[str, Query(max_length=MAX_FILENAME)] = "",
        type: Annotated[str | None, Query(max_length=255)] = None,  # noqa: A002, ARG001 - Companion's name
    ) -> FormParams:
        """Say where to send a file at once. `metadata[name]` and so on say more about it."""
        return await companion.form(caller, filename, _metadata(request))

    @router.post("/multipart", dependencies=begins, responses=problems(400, 401, 403, 413, 422, 503, 507))
    async def create_multipart(wanted: NewMultipart, caller: uploader, companion: Companion) -> Multipart:
        """Begin an upload in parts."""
        return await companion.create(caller, wanted)

    @router.get(
        "/multipart/{upload_id}", dependencies=goes_on, responses=problems(401, 403, 404, 410, 422, 503)
    )
    async def list_multipart_parts(
        upload_id: UUID, caller: uploader, companion: Companion, key: Key = ""
    ) -> list[ListedPart]:
        """List the parts that have come."""
        return await companion.list_parts(caller, Named(upload_id, key))

    @router.get(
        "/multipart/{upload_id}/batch",
        dependencies=goes_on,
        responses=problems(400, 401, 403, 404, 410, 422, 503),
    )
    async def sign_multipart_parts(
        upload_id: UUID,
        caller: uploader,
        companion: Companion,
        part_numbers_text: Annotated[str, Query(alias="partNumbers", max_length=8192)] = "1",
        key: Key = "",
    ) -> SignedParts:
        """Make URLs for several parts (Uppy before 6)."""
        return await companion.sign_parts(caller, Named(upload_id, key), part_numbers(part_numbers_text))

    # Only digits: else it would also be an address for GET of what ends in "complete".
    @router.get(
        "/multipart/{upload_id}/{number:int}",
        dependencies=goes_on,
        responses=problems(400, 401, 403, 404, 410, 422, 503),
    )
    async def sign_multipart_part(
        upload_id: UUID, number: Number, caller: uploader, companion: Companion, key: Key = ""
    ) -> SignedPart:
        """Make a URL for one part."""
        return await companion.sign_part(caller, Named(upload_id, key), number)

    @router.post(
        "/multipart/{upload_id}/complete",
        dependencies=goes_on,
        responses=problems(400, 401, 403, 404, 409, 410, 413, 415, 422, 503, 507),
    )
    async def complete_multipart(
        sent: MultipartCompletion, upload_id: UUID, caller: uploader, companion: Companion, key: Key = ""
    ) -> CompletedUpload:
        """Make a file of the parts; its id is the key."""
        return await companion.complete(caller, Named(upload_id, key), sent)

    @router.delete(
        "/multipart/{upload_id}", dependencies=goes_on, responses=problems(401, 403, 404, 410, 422, 503)
    )
    async def abort_multipart(
        upload_id: UUID, caller: uploader, companion: Companion, key: Key = ""
    ) -> dict[str, str]:
        """Give up an upload."""
        await companion.abort(caller, Named(upload_id, key))
        return {}

    return router


def _metadata(request: Request) -> dict[str, str]:
    return {
        name.removeprefix(METADATA).removesuffix("]"): value
        for name, value in request.query_params.items()
        if name.startswith(METADATA) and name.endswith("]")
    }


router = add_routes(APIRouter(prefix="/v1/s3", tags=[TAG], route_class=GuardedRoute), Uploader, RateLimit)

token_router = add_routes(
    APIRouter(
        prefix="/v1/companion/{upload_token}/s3",
        tags=[TAG],
        route_class=TokenRoute,
        include_in_schema=False,  # the same once more, with a secret in the path
    ),
    Annotated[Caller, Depends(identify_by_path)],
    PathRateLimit,
)

form_router = APIRouter(prefix="/v1", tags=[TAG])


@form_router.post(
    "/signed/uploads/{upload_id}/form",
    dependencies=[Depends(AddressRateLimit(RateClass.EXEMPT))],
    status_code=status.HTTP_201_CREATED,
    openapi_extra=FORM_BODY,
    responses=problems(400, 403, 404, 408, 409, 410, 413, 415, 422, 503, 507),
)
async def post_signed_form(
    upload_id: UUID, request: Request, response: Response, presenter: Presenter
) -> FileOut:
    """Take a file as a form, by a URL that the service signed."""
    receiver: FormReceiver = request.app.state.form_receiver
    file = await receiver.receive(
        upload_id,
        path=request.url.path,
        query=request.query_params.multi_items(),
        content_type=request.headers.get("content-type", ""),
        chunks=request.stream(),
    )
    response.headers["Location"] = presenter.file_url(file.id)
    return presenter.file(file, file.renditions)
