"""Keeps the leases of running jobs alive: one thread per process for all of them. Worker room."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog

from media_service.blocking_database import Database
from media_service.exceptions import MediaServiceError
from media_service.jobs import queries

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews what this process holds, three times in the life of a lease.

    If this process dies or hangs, the leases run out and the dispatcher hands the jobs to others.
    """

    def __init__(self, database: Database, *, lease: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._held: set[UUID] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lease-keeper", daemon=True)

    @property
    def lease(self) -> timedelta:
        return self._lease

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=self._lease.total_seconds())

    @contextmanager
    def hold(self, token: UUID) -> Iterator[None]:
        """Renew a lease while the block runs."""
        with self._lock:
            self._held.add(token)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(token)

    def _work(self) -> None:
        while not self._stopping.wait(self._lease.total_seconds() / 3):
            with self._lock:
                tokens = list(self._held)
            if tokens:
                self._renew(tokens)

    def _renew(self, tokens: list[UUID]) -> None:
        try:
            with self._database.transaction() as session:
                kept = set(session.scalars(queries.renew(tokens, lease=self._lease)))
        except MediaServiceError as error:
            log.warning("job.lease_not_renewed", code=error.code, jobs=len(tokens))
            return
        except Exception:
            # Whatever it is: without a heartbeat every job of this process would be taken away.
            log.exception("job.lease_not_renewed", jobs=len(tokens))
            return
        with self._lock:
            lost = (set(tokens) - kept) & self._held
        if lost:
            # The work goes on and is refused when it publishes; stopping a thread from outside is not safe.
            log.warning("job.lease_lost", jobs=len(lost))
