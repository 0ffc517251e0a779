"""Tells the API, by a row, that this worker process lives and what its sandbox lacks. Worker room."""

import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import structlog

from media_service.blocking_database import Database
from media_service.exceptions import MediaServiceError
from media_service.jobs import presence

log = structlog.get_logger(__name__)

BEATS_PER_LIFE = 3
"""A process counts as dead after so many missed beats: one that is late under load still lives."""
MAX_HOST_CHARACTERS = 255


class Presence:
    """One thread that renews the row of this process; nothing but `/readyz` depends on it.

    Apart from the lease keeper, since a commit costs SQLite a sync of the disk: leases must be renewed every
    few seconds, this need not. No failure ends it, and none keeps the process from working.
    """

    def __init__(
        self,
        database: Database,
        *,
        missing_layers: Callable[[], Sequence[str]],
        beat: timedelta,
        lanes: Sequence[str] = (),
    ) -> None:
        self._database = database
        self._missing_layers = missing_layers
        self._beat = beat
        self._lanes = lanes
        self._id = uuid4()
        self._host = socket.gethostname()[:MAX_HOST_CHARACTERS]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="presence", daemon=True)

    def start(self) -> None:
        """Appear, and go on appearing; does not wait for the database."""
        self._thread.start()

    def close(self) -> None:
        """Disappear. A database that is away then is no error: the row's time runs out."""
        self._stopping.set()
        self._thread.join(timeout=self._beat.total_seconds())
        self._attempt(self._leave)

    def _work(self) -> None:
        while True:
            self._attempt(self._appear)
            if self._stopping.wait(self._beat.total_seconds()):
                return

    def _appear(self) -> None:
        missing, lease = self._missing_layers(), self._beat * BEATS_PER_LIFE
        with self._database.transaction() as session:
            stays = presence.stay(self._id, missing_layers=missing, lease=lease)
            if session.execute(stays).first() is None:
                entering = presence.enter(
                    self._id, host=self._host, missing_layers=missing, lease=lease, lanes=self._lanes
                )
                session.execute(entering)

    def _leave(self) -> None:
        with self._database.transaction() as session:
            session.execute(presence.leave(self._id))

    def _attempt(self, say: Callable[[], None]) -> None:
        try:
            say()
        except MediaServiceError as error:
            log.warning("worker.presence_not_written", code=error.code)
        except Exception:
            # Whatever it is: a worker that works must not look dead for ever after one defect.
            log.exception("worker.presence_not_written")
