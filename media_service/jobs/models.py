"""The queue of record: a job is a row before it is a message. Core room."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from media_service.jobs.lifecycle import JobStatus
from media_service.models import Base, new_id, utc_now, value_enum


class JobKind(StrEnum):
    PROCESS_FILE = "process_file"
    PURGE_FILE = "purge_file"
    """Remove the objects of a file whose row is gone."""
    HASH_FILE = "hash_file"
    """Compute the SHA-256 of a file whose bytes did not pass through the API."""
    IMPORT_FILE = "import_file"
    """Fetch a file from a URL."""


class Job(Base):
    """One piece of work. Times that are compared are milliseconds of the database's clock."""

    __tablename__ = "jobs"
    __table_args__ = (
        # The dispatcher asks per lane for what is due; finished rows are the many, so they stay out.
        Index(
            "ix_jobs_queued",
            "lane",
            "run_after_ms",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index(
            "ix_jobs_running",
            "lease_until_ms",
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
        Index(None, "file_id"),
        Index(None, "owner_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[JobKind] = mapped_column(value_enum(JobKind))
    lane: Mapped[str] = mapped_column(String(32))
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    file_id: Mapped[UUID | None] = mapped_column(ForeignKey("files.id", ondelete="CASCADE"))
    payload: Mapped[dict[str, Any]]
    status: Mapped[JobStatus] = mapped_column(value_enum(JobStatus))
    attempts: Mapped[int] = mapped_column(default=0)
    """Starts, however they ended."""
    deferrals: Mapped[int] = mapped_column(default=0, server_default="0")
    """Starts that only found a dependency away: they prove nothing against the job, however many they are."""
    crashes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Starts that ended badly by themselves: perhaps it is the file."""
    max_attempts: Mapped[int]
    """Of starts that are no deferrals."""
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    run_after_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    sent_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    """When a message for it was last given to the broker; null if never."""
    lease_token: Mapped[UUID | None]
    """Fences: only who holds the token may publish a result or renew the lease."""
    lease_until_ms: Mapped[int | None] = mapped_column(BigInteger)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Lease(Base):
    """A named right that one process holds at a time, such as being the dispatcher."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[UUID]
    until_ms: Mapped[int] = mapped_column(BigInteger)


class WorkerProcess(Base):
    """A process that runs jobs, for as long as it says so; it deletes its row when it ends well.

    A row whose time is over stands for nobody: the process was killed, or has been silent for long. There
    are as many rows as processes, so they need no index but their key.
    """

    __tablename__ = "worker_processes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    """For who reads the table; no answer of the API shows it."""
    missing_layers: Mapped[list[str]]
    """Walls of the sandbox that the kernel of its machine lacks (`workers/processing/layers.py`)."""
    alive_until_ms: Mapped[int] = mapped_column(BigInteger)
