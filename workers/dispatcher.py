"""The dispatcher process: rounds of dispatching and sweeping until it is told to stop. Composition root."""

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from media_service.backends import create_storage
from media_service.broker.client import JobSender
from media_service.broker.messages import Lane
from media_service.exceptions import MediaServiceError
from media_service.observability import configure_logging
from workers.config import load_worker_settings
from workers.jobs.dispatch import Dispatcher, DispatchRules
from workers.runtime import create_database
from workers.sweeper import create_sweeper

log = structlog.get_logger(__name__)

LEADERSHIP_ROUNDS = 20
"""Rounds that a leader may miss before another takes over."""
TOP_UP_SECONDS = 0.05
"""Between two looks at lanes with a limit while there is work in them: a few reads each."""


def run() -> None:
    """Work until SIGTERM or SIGINT."""
    settings = load_worker_settings()
    configure_logging(role="dispatcher", log_format=settings.log_format, level=settings.log_level)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    database = create_database(settings)
    sender = JobSender(settings.effective_broker_url)
    storage = create_storage(settings.storage, s3=settings, data_dir=settings.data_dir)
    rules = DispatchRules(
        window=settings.lane_window,
        resend_after=settings.job_resend_after,
        leadership=settings.worker_dispatch_interval * LEADERSHIP_ROUNDS,
        limits={Lane.BACKFILL: settings.worker_backfill_limit},
    )
    dispatcher = Dispatcher(database, sender, rules)
    sweeper = create_sweeper(settings, database, storage, grace=settings.worker_sweep_grace)
    leads = threading.Event()

    def sweep_again_and_again() -> None:
        while not stopping.wait(settings.worker_sweep_interval.total_seconds()):
            if leads.is_set():
                _attempt("sweeper.round_failed", sweeper.run_round)

    # In a thread of its own: a storage that hangs must not keep jobs from being sent.
    threading.Thread(target=sweep_again_and_again, name="sweeper", daemon=True).start()
    log.info("dispatcher.started")
    while not stopping.is_set():
        if _attempt("dispatcher.round_failed", dispatcher.run_round):
            leads.set()
        else:
            leads.clear()
        _rest(dispatcher if leads.is_set() else None, stopping, settings.worker_dispatch_interval)
    sender.close()
    database.close()
    log.info("dispatcher.stopped")


def _rest(dispatcher: Dispatcher | None, stopping: threading.Event, interval: timedelta) -> None:
    """Wait for the next round; a leader fills up lanes with a limit meanwhile."""
    until = time.monotonic() + interval.total_seconds()
    while (left := until - time.monotonic()) > 0:
        may_fill = dispatcher is not None and dispatcher.has_limited_work
        if stopping.wait(min(left, TOP_UP_SECONDS) if may_fill else left):
            return
        if dispatcher is not None and may_fill:
            _attempt("dispatcher.round_failed", dispatcher.top_up)


def _attempt(failure: str, work: Callable[[], object]) -> bool:
    """Whether the work was done, and had a truthy result; an outage is logged and passes."""
    try:
        return bool(work())
    except MediaServiceError as error:
        log.warning(failure, code=error.code)
    except Exception:
        # The guarantee that every job runs must outlive a defect in one round.
        log.exception(failure)
    return False
