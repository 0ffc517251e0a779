"""`/v1/jobs`. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from media_service.auth.dependencies import JobReader
from media_service.jobs.schemas import JobOut
from media_service.jobs.service import JobService
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit
from media_service.web.responses import problems

router = APIRouter(
    prefix="/v1",
    tags=["Jobs"],
    dependencies=[Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))],
)


async def get_jobs(request: Request) -> JobService:
    jobs: JobService = request.app.state.jobs
    return jobs


@router.get("/jobs/{job_id}", responses=problems(401, 403, 404, 422))
async def get_job(job_id: UUID, caller: JobReader, jobs: Annotated[JobService, Depends(get_jobs)]) -> JobOut:
    """Describe one job: its state, its attempts, and what went wrong."""
    return JobOut.from_job(await jobs.get(job_id, caller))
