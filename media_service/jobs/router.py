"""`/v1/jobs`. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from media_service.auth.dependencies import JobReader
from media_service.jobs.schemas import JobOut
from media_service.jobs.service import JobService
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.web.kept_answer import NOT_MODIFIED, json_answer, json_body
from media_service.web.responses import problems

router = APIRouter(
    prefix="/v1",
    tags=["Jobs"],
    dependencies=[Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))],
)


async def get_jobs(request: Request) -> JobService:
    jobs: JobService = request.app.state.jobs
    return jobs


@router.get(
    "/jobs/{job_id}",
    response_model=JobOut,
    responses={**NOT_MODIFIED, **problems(401, 403, 404, 412, 422)},
)
async def get_job(
    job_id: UUID, request: Request, caller: JobReader, jobs: Annotated[JobService, Depends(get_jobs)]
) -> Response:
    """Describe one job: its state, its attempts, and what went wrong."""
    return json_answer(request, json_body(JobOut.from_job(await jobs.get(job_id, caller))))
