"""`python -m workers check|alive|worker|dispatcher|sweep`. Composition root."""

import argparse
import socket
import sys
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from media_service.blocking_database import Database
from media_service.durations import Duration
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.jobs.presence import living_on
from media_service.migrations import require_newest
from workers.config import load_worker_settings


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


def run_worker() -> None:
    """Run Celery's worker over its lanes until SIGTERM."""
    from workers.app import app, settings

    app.worker_main(
        [
            "--quiet",  # no banner among the log lines
            "worker",
            f"--pool={settings.worker_pool}",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={','.join(settings.worker_lanes)}",
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
    roles = parser.add_subparsers(required=True, metavar="check|alive|worker|dispatcher|sweep")
    roles.add_parser("check").set_defaults(run=lambda _: None)
    roles.add_parser("alive").set_defaults(run=lambda _: see_alive())
    roles.add_parser("worker").set_defaults(run=lambda _: run_worker())
    roles.add_parser("dispatcher").set_defaults(run=lambda _: run_dispatcher())
    sweep = roles.add_parser("sweep")
    sweep.add_argument("--dry-run", action="store_true")
    sweep.add_argument("--grace", type=_duration)
    sweep.set_defaults(run=run_sweep)
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
