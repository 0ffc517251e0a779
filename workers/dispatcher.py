"""The dispatcher process: rounds of dispatching and sweeping until it is told to stop. Composition root."""

import signal
import threading
from collections.abc import Callable

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
        stopping.wait(settings.worker_dispatch_interval.total_seconds())
    sender.close()
    database.close()
    log.info("dispatcher.stopped")


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
