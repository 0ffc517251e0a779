"""`/v1/uploads`: tus 1.0.0 and the IETF draft of Resumable Uploads. API room."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from media_service.auth.dependencies import Uploader
from media_service.auth.scopes import Caller
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.dependencies import Files, Presenter
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit, RateLimit
from media_service.tus.answers import UploadAnswer
from media_service.tus.dependencies import ResumableProtocols
from media_service.tus.schemas import (
    APPENDED,
    BYTES_BODY,
    CREATED,
    CREATION_HEADERS,
    DISCOVERED,
    LOOKED,
    MAYBE_BYTES_BODY,
    PATCH_HEADERS,
    TERMINATED,
    UPLOAD_HEADERS,
)
from media_service.web.responses import problems
from media_service.web.resumable_route import ResumableRoute

router = APIRouter(prefix="/v1/uploads", tags=["Resumable uploads"], route_class=ResumableRoute)
discovery_router = APIRouter(
    prefix="/v1/uploads",
    tags=["Resumable uploads"],
    dependencies=[Depends(AddressRateLimit(RateClass.READ))],
)

_BEGINS = [Depends(RateLimit(RateClass.UPLOAD))]
_GOES_ON = [Depends(RateLimit(RateClass.EXEMPT))]
"""How many requests an upload takes is the affair of its network."""

_ANY = (400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 423, 460, 503, 507)


@discovery_router.options("", status_code=204, response_class=Response, responses=DISCOVERED)
@discovery_router.options(
    "/{upload_id}", status_code=204, response_class=Response, responses=DISCOVERED, include_in_schema=False
)
async def discover_uploads(protocols: ResumableProtocols) -> Response:
    """Say what the server can do: versions, extensions, limits. Needs no credentials."""
    return _response(protocols.discover())


@router.post(
    "",
    dependencies=_BEGINS,
    status_code=201,
    response_class=Response,
    responses={**CREATED, **problems(*_ANY)},
    openapi_extra={**MAYBE_BYTES_BODY, **CREATION_HEADERS},
)
async def create_upload(
    request: Request, caller: Uploader, protocols: ResumableProtocols, files: Files, presenter: Presenter
) -> Response:
    """Begin an upload that can be resumed; its first bytes may come along.

    `Location` is where it goes on. The upload that is finished is a file: `X-File-Id` names it.
    """
    answer = await protocols.create(caller, request.headers, request.stream())
    return await _with_file(answer, caller, files, presenter)


@router.get(
    "/{upload_id}",
    dependencies=_GOES_ON,
    status_code=200,
    response_class=Response,
    responses={**LOOKED, **problems(*_ANY)},
    openapi_extra=UPLOAD_HEADERS,
)
async def look_at_upload(
    upload_id: UUID, request: Request, caller: Uploader, protocols: ResumableProtocols
) -> Response:
    """Say how far an upload is, in headers; HEAD is the usual way to ask.

    A request that is still on its way for the same upload is ended first, so that the offset counts.
    """
    return _response(await protocols.look(caller, upload_id, request.headers))


@router.patch(
    "/{upload_id}",
    dependencies=_GOES_ON,
    status_code=204,
    response_class=Response,
    responses={**APPENDED, **problems(*_ANY)},
    openapi_extra={**BYTES_BODY, **PATCH_HEADERS},
)
async def append_to_upload(
    upload_id: UUID,
    request: Request,
    caller: Uploader,
    protocols: ResumableProtocols,
    files: Files,
    presenter: Presenter,
) -> Response:
    """Add bytes at the end of an upload.

    Whatever cuts the body short, what has arrived is kept. The request that brings the last byte makes the
    file.
    """
    answer = await protocols.append(caller, upload_id, request.headers, request.stream())
    return await _with_file(answer, caller, files, presenter)


@router.post(
    "/{upload_id}",
    dependencies=_GOES_ON,
    status_code=204,
    response_class=Response,
    responses={**APPENDED, **problems(*_ANY)},
    openapi_extra={**MAYBE_BYTES_BODY, **PATCH_HEADERS},
)
async def override_method_of_upload(
    upload_id: UUID, request: Request, caller: Uploader, protocols: ResumableProtocols
) -> Response:
    """Do what `X-HTTP-Method-Override` names, for clients that can send no PATCH, DELETE or HEAD."""
    return _response(await protocols.override(caller, upload_id, request.headers, request.stream()))


@router.delete(
    "/{upload_id}",
    dependencies=_GOES_ON,
    status_code=204,
    response_class=Response,
    responses={**TERMINATED, **problems(*_ANY)},
    openapi_extra=UPLOAD_HEADERS,
)
async def terminate_upload(
    upload_id: UUID, request: Request, caller: Uploader, protocols: ResumableProtocols
) -> Response:
    """End an upload and remove what arrived of it. The file of a finished one stays."""
    return _response(await protocols.terminate(caller, upload_id, request.headers))


def _response(answer: UploadAnswer) -> Response:
    return Response(status_code=answer.status, headers=answer.headers)


async def _with_file(answer: UploadAnswer, caller: Caller, files: Files, presenter: Presenter) -> Response:
    """The file that an upload has become, described, where the answer has a body."""
    body: Any = None
    if answer.file_id is not None:
        try:
            file = await files.get(answer.file_id, caller)
            body = presenter.file(file, file.renditions).model_dump_json()
        except MediaServiceError as error:
            if error.kind is not ErrorKind.NOT_FOUND:  # deleted since; the upload was complete all the same
                raise
    if body is None:
        return _response(answer)
    return Response(body, answer.status, headers=answer.headers, media_type="application/json")
