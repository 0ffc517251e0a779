"""Gunicorn over the API: `gunicorn --config infra/gunicorn/gunicorn.conf.py`. A composition root.

Where it listens and how long a stop may take are the service's own settings (.env.example). How many
processes it keeps is WEB_CONCURRENCY. Bounds such as MEDIA_MAX_CONNECTIONS, MEDIA_UPLOAD_MEMORY and
MEDIA_DATABASE_POOL_SIZE are per process.
"""

import math
import os
import sys
from typing import Any

from media_service import migrations
from media_service.config import load_settings
from media_service.exceptions import MediaServiceError
from media_service.observability import configure_logging

CLEAN_UP_SECONDS = 5
"""For leaving nothing behind after requests were cut; as `media up` gives."""

try:
    _settings = load_settings()
except MediaServiceError as error:
    sys.exit(f"media-service: {error}")
configure_logging(role="api", log_format=_settings.log_format, level=_settings.log_level)

wsgi_app = "media_service.main:create_app()"
worker_class = "media_service.web.gunicorn_worker.ApiWorker"
logger_class = "media_service.web.gunicorn_worker.StructuredLog"
loglevel = _settings.log_level

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"
backlog = 2048
# Each is a whole API with a heap of its own (about 150 MiB) and keeps one core busy.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)

# Of silence, after which a process is killed. The event loop never blocks for even a second; a long request
# does not count, since a process gives its sign of life beside it.
timeout = 30
# The sum of what a stop may take; systemd and Docker must be given a little more (TimeoutStopSec,
# stop_grace_period).
graceful_timeout = math.ceil(
    (_settings.shutdown_delay + _settings.shutdown_grace).total_seconds() + CLEAN_UP_SECONDS
)

# The sign of life is a file: in memory, since a busy disk would make living processes look dead.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - unlinked when made
# Nothing of this service uses the door for run-time commands; signals do what is needed.
control_socket_disable = True


def on_starting(_: Any) -> None:
    """Say in one line that the database was not migrated, instead of in a traceback of each process."""
    try:
        migrations.require_newest(_settings.effective_database_url)
    except MediaServiceError as error:
        sys.exit(f"media-service: {error}")
