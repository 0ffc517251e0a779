"""`POST /v1/files/import`. API room."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, status

from media_service.auth.dependencies import Writer
from media_service.imports.schemas import ImportRequest
from media_service.imports.service import ImportService
from media_service.jobs.schemas import JobOut
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.web.guarded_route import GuardedRoute
from media_service.web.problems import MethodRefused
from media_service.web.responses import problems

router = APIRouter(
    prefix="/v1",
    tags=["Files"],
    route_class=GuardedRoute,
    dependencies=[Depends(RateLimit(RateClass.UPLOAD))],
)


async def get_imports(request: Request) -> ImportService:
    imports: ImportService = request.app.state.imports
    return imports


@router.post(
    "/files/import", status_code=status.HTTP_202_ACCEPTED, responses=problems(400, 401, 403, 413, 422, 503)
)
async def import_file(
    wanted: ImportRequest, caller: Writer, imports: Annotated[ImportService, Depends(get_imports)]
) -> JobOut:
    """Let a worker fetch a file from a URL; the job that is the answer names the file at its end."""
    return JobOut.from_job(await imports.request(caller, wanted))


_OTHERS = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


@router.api_route("/files/import", methods=_OTHERS, include_in_schema=False)
async def refuse_other_methods(_: Writer) -> None:
    """Else `/files/{file_id}` would take "import" for an id."""
    raise MethodRefused("POST")
