"""What rings for a job: a port, so that services need not know the broker. Core room."""

from typing import Protocol
from uuid import UUID

from media_service.broker.messages import Lane


class Bell(Protocol):
    """Announces jobs to workers, without any promise (`broker/client.py`): the jobs table is the queue."""

    def has_room(self, lane: Lane) -> bool:
        """Whether a ring now would be heard soon."""
        ...

    def ring(self, job_id: UUID, lane: Lane) -> None:
        """Announce a job; returns at once and never raises."""
        ...
