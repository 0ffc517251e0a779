"""What the two processes say to each other: names of tasks and lanes. Core room.

A message is only a doorbell. It carries the id of a job's row and nothing else: no bytes, no secrets, no
presigned URLs; the row is the truth.
"""

from enum import StrEnum

RUN_JOB = "media.run_job"
"""The task that runs one job: `run_job(job_id)`."""


class Lane(StrEnum):
    """A queue with workers of its own, so that one sort of work cannot starve another."""

    UPLOADS = "uploads"
    TRANSFERS = "transfers"
    """What moves many bytes and computes little."""
    HOUSEKEEPING = "housekeeping"
