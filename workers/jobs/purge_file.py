"""Removes the objects of a file whose row is gone. Worker room."""

from uuid import UUID

from media_service.faultpoints import reach
from media_service.jobs import queries as jobs
from media_service.jobs.lifecycle import JobStatus
from media_service.models import utc_now
from media_service.storage.keys import original_key, renditions_prefix
from workers.jobs.context import ClaimedJob, JobContext, LeaseLostError


def purge_file(job: ClaimedJob, context: JobContext) -> None:
    """Delete the original and all renditions. Idempotent. Raises StorageError, LeaseLostError."""
    file_id = UUID(job.payload["file_id"])
    renditions = context.storage.list_objects(renditions_prefix(file_id))
    context.storage.delete([original_key(file_id), *(found.key for found in renditions)])
    reach("purge.deleted")
    with context.database.transaction() as session:
        ended = jobs.finish(job.id, token=job.token, status=JobStatus.SUCCEEDED, at=utc_now())
        if session.execute(ended).first() is None:
            raise LeaseLostError
