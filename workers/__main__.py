"""`python -m workers check|alive|worker|dispatcher|sweep|backfill`. Composition root."""

import argparse
import os
import socket
import sys
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from media_service.blocking_database import Database
from media_service.broker.messages import Lane
from media_service.durations import Duration
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.jobs.presence import living_on
from media_service.migrations import require_newest
from workers.config import load_worker_settings

LANES_VARIABLE = "MEDIA_WORKER_LANES"


def check() -> None:
    """See that the workers could start: their settings, and the schema. Raises MediaServiceError."""
    require_newest(load_worker_settings().effective_database_url)


def see_alive() -> None:
    """See that a worker lives on this machine, or in this container. Raises MediaServiceError."""
    database = Database(load_worker_settings().effective_database_url, pool_size=1)
    with database.read() as session:
        if session.scalars(living_on(socket.gethostname())).first() is None:
            detail = "No worker lives on this host."
            raise MediaServiceError(ErrorKind.UNAVAILABLE, "no-living-worker", detail)


def run_worker(lanes: str | None) -> None:
    """Run Celery's worker until SIGTERM, over these lanes instead of those of the settings."""
    if lanes is not None:
        os.environ[LANES_VARIABLE] = lanes  # before the settings are read: everything below goes by them
        check()
    from workers.app import app, settings

    only_renders = settings.worker_lanes == (Lane.RENDER,)
    concurrency = settings.worker_render_concurrency if only_renders else settings.worker_concurrency
    app.worker_main(
        [
            "--quiet",  # no banner among the log lines
            "worker",
            f"--pool={settings.worker_pool}",
            f"--concurrency={concurrency}",
            f"--queues={','.join(settings.worker_lanes)}",
            f"--hostname={'renderer' if only_renders else 'worker'}@%h",
            f"--loglevel={settings.log_level}",
            # Workers need not know of each other; each of these is one more way to depend on Redis.
            "--without-mingle",
            "--without-gossip",
            "--without-heartbeat",
        ]
    )


def run_dispatcher() -> None:
    """Run the dispatcher until SIGTERM."""
    from workers.dispatcher import run

    run()


def run_sweep(options: argparse.Namespace) -> None:
    """Walk everything once."""
    from workers.sweeper import sweep

    sweep(dry_run=options.dry_run, grace=options.grace)


def run_backfill(options: argparse.Namespace) -> None:
    """Queue every file that lacks a preset as it is now."""
    from workers.backfill import backfill

    backfill(options.preset, dry_run=options.dry_run)


def main(arguments: list[str]) -> int:
    """Returns the exit code; 2 for arguments that nobody understands (argparse says which)."""
    options = _parser().parse_args(arguments)
    try:
        check()
        options.run(options)
    except MediaServiceError as error:
        print(f"media-service: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers")
    roles = parser.add_subparsers(required=True, metavar="check|alive|worker|dispatcher|sweep|backfill")
    roles.add_parser("check").set_defaults(run=lambda _: None)
    roles.add_parser("alive").set_defaults(run=lambda _: see_alive())
    worker = roles.add_parser("worker")
    worker.add_argument("--lanes")
    worker.set_defaults(run=lambda options: run_worker(options.lanes))
    roles.add_parser("dispatcher").set_defaults(run=lambda _: run_dispatcher())
    sweep = roles.add_parser("sweep")
    sweep.add_argument("--dry-run", action="store_true")
    sweep.add_argument("--grace", type=_duration)
    sweep.set_defaults(run=run_sweep)
    backfill = roles.add_parser("backfill")
    backfill.add_argument("--preset", action="append")
    backfill.add_argument("--dry-run", action="store_true")
    backfill.set_defaults(run=run_backfill)
    return parser


def _duration(text: str) -> timedelta:
    """A length of time as settings spell it."""
    try:
        duration: timedelta = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError("is no duration: 3600, PT1H or 01:00:00") from None
    return duration


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
