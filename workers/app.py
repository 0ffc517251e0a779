"""The Celery application of the workers. Composition root; nothing but configuration."""

import warnings

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import (
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
)

from media_service.broker.messages import Lane
from media_service.broker.urls import celery_url
from media_service.observability import configure_logging
from workers.config import load_worker_settings
from workers.runtime import close_runtime, get_runtime

SOCKET_TIMEOUT_SECONDS = 30
"""A worker blocks on the broker for longer than a sender may."""

settings = load_worker_settings()

# Celery warns of root because of pickle; only JSON is accepted here, and containers often run as root.
warnings.simplefilter("ignore", SecurityWarning)

app = Celery("workers", broker=celery_url(settings.effective_broker_url), include=["workers.tasks"])
app.conf.update(
    # A message is only a doorbell: the jobs table knows what must be done again, so a message is over once
    # it is taken. With late acknowledgement a worker of Celery 5.7 exits when Redis dies under a task.
    task_acks_late=False,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_default_queue=Lane.HOUSEKEEPING.value,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
)


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    configure_logging(role="worker", log_format=settings.log_format, level=settings.log_level)


@worker_init.connect
def _warm_up(**_: object) -> None:
    _set_up_logging()  # Celery asks for it only later
    if not _forks():
        get_runtime()  # the first job must not wait for the sandbox to load its libraries


@worker_process_init.connect
def _warm_up_fork(**_: object) -> None:
    get_runtime()  # after the fork: connections and clients must not be shared


@worker_shutdown.connect
@worker_process_shutdown.connect
def _close(**_: object) -> None:
    close_runtime()


def _forks() -> bool:
    return settings.worker_pool == "prefork"
