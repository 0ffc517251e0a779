"""What the two processes say to each other: names of tasks and lanes. Core room.

A message is only a doorbell. It carries the key of a row and nothing else: no bytes, no secrets, no
presigned URLs; the row is the truth. So it is with a render, whose row is the stored result that it is about.
"""

from enum import StrEnum

RUN_JOB = "media.run_job"
"""The task that runs one job: `run_job(job_id)`."""


RENDER = "media.render"
"""The task that makes one image on the fly: `render(file_id, digest)`, the key of its row."""


class Lane(StrEnum):
    """A queue with workers of its own, so that one sort of work cannot starve another."""

    UPLOADS = "uploads"
    RENDER = "render"
    """Images on the fly, for which somebody waits. The one lane without rows in the jobs table."""
    BACKFILL = "backfill"
    """Files that are made again by the thousand; nobody waits for them."""
    HOUSEKEEPING = "housekeeping"
