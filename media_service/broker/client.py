"""Rings the workers' doorbell from the API. Blocking, on a thread of its own: never from a request.

The jobs table is the queue of record. A ring that is lost costs a few seconds until the dispatcher sends
the job again; a ring must therefore never cost a request anything.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from media_service.broker.messages import RENDER, RUN_JOB, Lane
from media_service.broker.urls import celery_url
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach

log = structlog.get_logger(__name__)

MAX_WAITING_RINGS = 1000
"""Rings that wait for the broker; more are dropped, since the dispatcher sees their rows anyway."""
BREAKER_PAUSE = timedelta(seconds=2)
"""How long nothing is sent after the broker failed; the dispatcher keeps trying meanwhile."""
DEPTH_KNOWN_FOR = timedelta(milliseconds=200)
"""How long a look at a lane's depth is believed; a look costs one round trip."""
SOCKET_TIMEOUT_SECONDS = 2
"""Without it, publishing to a hung Redis blocks for ever."""


def celery_app(broker_url: str) -> Celery:
    """A Celery application that only sends, in bounded time, and keeps no results."""
    app = Celery("media_service", broker=celery_url(broker_url))
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
        broker_connection_timeout=SOCKET_TIMEOUT_SECONDS,
        broker_connection_retry=False,
        broker_connection_max_retries=1,
        broker_transport_options={
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            "health_check_interval": 25,
        },
    )
    return app


class JobSender:
    """Sends messages for jobs. Blocks; not for the event loop. One thread at a time."""

    def __init__(self, broker_url: str) -> None:
        self._app = celery_app(broker_url)
        connection = self._app.connection_for_write()
        self._broker_errors = (
            OperationalError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    def send(self, job_id: UUID, lane: Lane) -> None:
        """Put one message into a lane. Raises MediaServiceError (unavailable) if the broker is away."""
        with self._translated():
            self._app.send_task(RUN_JOB, args=[str(job_id)], queue=lane.value)

    def send_render(self, file_id: UUID, digest: str) -> None:
        """Ask for one image on the fly. Raises as `send`."""
        with self._translated():
            self._app.send_task(RENDER, args=[str(file_id), digest], queue=Lane.RENDER.value)

    def depth(self, lane: Lane) -> int:
        """Messages that wait in a lane. Raises MediaServiceError (unavailable) if the broker is away."""
        with self._translated(), self._app.connection_or_acquire() as connection:
            channel = connection.default_channel
            return int(channel.queue_declare(queue=lane.value, durable=True, auto_delete=False).message_count)

    def close(self) -> None:
        self._app.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._broker_errors as error:
            raise _broker_unavailable() from error


@dataclass(frozen=True, slots=True)
class _Ring:
    """One message that waits for the thread. `sent` is told what became of it, if somebody wants to know."""

    lane: Lane
    send: Callable[[], None]
    sent: "Future[None] | None" = None


class Doorbell:
    """One thread with a bounded queue and a circuit breaker in front of a JobSender."""

    def __init__(self, sender: JobSender, *, window: int, windows: Mapping[Lane, int] | None = None) -> None:
        """`window` is how many messages may wait in a lane before ringing is left to the dispatcher.

        `windows` are those of lanes with one of their own.
        """
        self._sender = sender
        self._window = window
        self._windows = dict(windows or {})
        self._rings: queue.Queue[_Ring | None] = queue.Queue(MAX_WAITING_RINGS)
        self._paused_until = 0.0
        self._depth_known_until: dict[Lane, float] = {}
        self._full_until: dict[Lane, float] = {}
        self._thread = threading.Thread(target=self._work, name="doorbell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop after the rings that wait, within a few seconds."""
        self._rings.put(None)
        self._thread.join(timeout=2 * SOCKET_TIMEOUT_SECONDS)
        self._sender.close()

    def has_room(self, lane: Lane) -> bool:
        """Whether a ring now would be heard soon; if not, the job's row is left as never sent."""
        now = time.monotonic()
        closed_until = max(self._paused_until, self._full_until.get(lane, 0.0))
        return now >= closed_until and not self._rings.full()

    def ring(self, job_id: UUID, lane: Lane) -> None:
        """Announce a job; returns at once and never raises."""
        try:
            self._rings.put_nowait(_Ring(lane, partial(self._sender.send, job_id, lane)))
        except queue.Full:
            log.warning("doorbell.dropped", job_id=str(job_id), lane=lane.value)

    def ask_for_render(self, file_id: UUID, digest: str) -> "Future[None]":
        """Ask for an image on the fly; returns at once.

        Somebody waits for this one, and no dispatcher sends it again: the future is done when the message is
        with the broker, or raises MediaServiceError (unavailable).
        """
        sent: Future[None] = Future()
        try:
            send = partial(self._sender.send_render, file_id, digest)
            self._rings.put_nowait(_Ring(Lane.RENDER, send, sent))
        except queue.Full:
            sent.set_exception(_broker_unavailable())
        return sent

    def _work(self) -> None:
        while (ring := self._rings.get()) is not None:
            if time.monotonic() < self._paused_until:
                _tell(ring, _broker_unavailable())
                continue
            try:
                self._look_at(ring.lane)
                ring.send()
                reach("doorbell.sent")
                _tell(ring, None)
            except MediaServiceError as error:
                self._paused_until = time.monotonic() + BREAKER_PAUSE.total_seconds()
                log.warning("doorbell.broker_unavailable", cause=type(error.__cause__).__name__)
                _tell(ring, error)
            except Exception as error:
                # The thread must outlive what nobody foresaw: without it every job waits for the dispatcher.
                log.exception("doorbell.failed")
                _tell(ring, error)

    def _look_at(self, lane: Lane) -> None:
        now = time.monotonic()
        if now < self._depth_known_until.get(lane, 0.0):
            return
        self._depth_known_until[lane] = now + DEPTH_KNOWN_FOR.total_seconds()
        if self._sender.depth(lane) >= self._windows.get(lane, self._window):
            self._full_until[lane] = now + BREAKER_PAUSE.total_seconds()


def _tell(ring: _Ring, error: Exception | None) -> None:
    # Who waited may have gone: then the future is cancelled.
    if ring.sent is None or not ring.sent.set_running_or_notify_cancel():
        return
    if error is None:
        ring.sent.set_result(None)
    else:
        ring.sent.set_exception(error)


def _broker_unavailable() -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNAVAILABLE, "broker-unavailable", "The message broker does not answer."
    )
