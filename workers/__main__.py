"""`python -m workers check|worker|dispatcher`. Composition root."""

import sys

from media_service.broker.messages import Lane
from media_service.exceptions import MediaServiceError
from media_service.migrations import require_newest
from workers.config import load_worker_settings

USAGE = "usage: python -m workers check|worker|dispatcher"


def check() -> None:
    """See that the workers could start: their settings, and the schema. Raises MediaServiceError."""
    require_newest(load_worker_settings().effective_database_url)


def run_worker() -> None:
    """Run Celery's worker over all lanes until SIGTERM."""
    from workers.app import app, settings

    app.worker_main(
        [
            "--quiet",  # no banner among the log lines
            "worker",
            f"--pool={settings.worker_pool}",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={','.join(Lane)}",
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


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    roles = {"check": lambda: None, "worker": run_worker, "dispatcher": run_dispatcher}
    if len(arguments) != 1 or arguments[0] not in roles:
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    try:
        check()
        roles[arguments[0]]()
    except MediaServiceError as error:
        print(f"media-service: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
