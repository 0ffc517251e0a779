"""Structured logs of all processes. Core room.

One canonical line per request and per job, dotted event names, to stdout. Nothing of a body, no credential
and no signature is ever logged.
"""

import logging
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from media_service.auth.shapes import redacted

_chain: list[Processor] = []
"""One list for the life of the process: loggers keep the one that they first saw, so it changes in place."""


def configure_logging(
    *, role: str, log_format: Literal["auto", "json", "text"], level: str, stream: TextIO | None = None
) -> None:
    """Send structlog and the standard library's loggers through one formatter. Call once per process.

    To stdout, unless a command has something else to say there and names another stream.
    """
    stream = stream or sys.stdout
    as_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if as_text else structlog.processors.JSONRenderer(ensure_ascii=False)
    )

    def add_role(_: object, __: str, event_dict: EventDict) -> EventDict:
        event_dict["role"] = role
        return event_dict

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_role,
    ]
    _chain[:] = [
        structlog.stdlib.filter_by_level,
        *shared,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ]
    structlog.configure(
        processors=_chain,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    tail: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not as_text:
        tail.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[*tail, _without_upload_tokens(renderer)]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _quieten()


def _without_upload_tokens(render: Processor) -> Processor:
    """They may stand in paths, and so in the words of libraries and in tracebacks."""

    def render_redacted(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
        return redacted(str(render(logger, method, event_dict)))

    return render_redacted


def _quieten() -> None:
    # Each says at INFO or WARNING what one canonical line of ours says better.
    for name in (
        "uvicorn.access",
        "python_multipart",
        "botocore",
        "boto3",
        "urllib3",
        "s3transfer",
        "celery.worker.strategy",
        "celery.app.trace",
        "alembic",
        # At DEBUG it says every statement with its parameters, hashes of passwords among them.
        "aiosqlite",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "celery", "celery.task"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
