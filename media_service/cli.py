"""The command line. Blocking room; each command is a composition root of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from media_service import migrations
from media_service.auth.keyring import Keyring
from media_service.auth.models import KeptSecret, SigningKey, TokenKey
from media_service.auth.service import AuthService
from media_service.auth.signing import MAX_KEY_USE
from media_service.broker import embedded
from media_service.broker.messages import Lane
from media_service.config import ENV_FILE, Settings, exposed_env_file, load_settings
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.observability import configure_logging
from media_service.supervisor.supervisor import Child, supervise

log = structlog.get_logger(__name__)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Self-hosted uploads and media processing."
)

PROJECT_ROOT = Path(__file__).resolve().parent.parent

API_SECRETS = frozenset({"MEDIA_ADMIN_API_KEY"})
"""Variables that no process but the API has use for: those that open files of strangers get none of them."""
CLEAN_UP_SECONDS = 5
"""For leaving nothing behind after requests were cut."""
WORKER_GRACE_SECONDS = 35
"""The longest that a sandboxed decode may take, and some; a job that is cut is only tried again."""


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """End with one clear line instead of a traceback where the cause is the environment."""
    try:
        yield
    except (MediaServiceError, embedded.EmbeddedRedisError) as error:
        typer.echo(f"media-service: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"media-service: {error.strerror or error}: {error.filename or ''}", err=True)
        raise typer.Exit(1) from None


@app.command()
def up() -> None:
    """Run the whole service: API, workers, dispatcher and, unless one is set, a bundled Redis."""
    with _one_line_errors():
        settings = load_settings()
        configure_logging(role="supervisor", log_format=settings.log_format, level=settings.log_level)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_port(settings)
        new_keys: list[str] = []

        async def prepare() -> None:
            migrations.upgrade(settings.effective_database_url)
            new_keys.extend(await _ensure_admin(settings))

        code = asyncio.run(
            supervise(
                _children(settings),
                run_dir=settings.data_dir.resolve() / "run",
                prepare=prepare,
                on_ready=lambda: _greet(settings, new_keys),
            )
        )
    raise typer.Exit(code)


@app.command()
def serve() -> None:
    """Run the API only."""
    with _one_line_errors():
        settings = load_settings()
        # Here and not above: no other command has use for the web framework.
        from media_service.main import create_app
        from media_service.web.server import DrainingServer, server_config

        migrations.require_newest(settings.effective_database_url)
        api = create_app(settings)
        _warn_about_env_file()
        config = server_config(api, settings, host=settings.host, port=settings.port)
        server = DrainingServer(config, api, settings)
        server.run()
    if not server.started:
        raise typer.Exit(1)


@app.command()
def worker(
    *,
    lanes: Annotated[
        str | None, typer.Option(help="What it works on, as uploads,backfill; default: MEDIA_WORKER_LANES.")
    ] = None,
) -> None:
    """Run a worker only."""
    _become("worker", *([] if lanes is None else [f"--lanes={lanes}"]))


@app.command()
def dispatcher() -> None:
    """Run the dispatcher only: it sends jobs to workers and sweeps what nobody owns."""
    _become("dispatcher")


@app.command()
def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    grace: Annotated[
        str | None,
        typer.Option(help="How old a thing must be, as PT1H or 3600; default: MEDIA_WORKER_SWEEP_GRACE."),
    ] = None,
) -> None:
    """Find what nobody owns and what is missing, once through everything; the dispatcher does it in bits."""
    _become("sweep", *(["--dry-run"] if dry_run else []), *([] if grace is None else [f"--grace={grace}"]))


@app.command()
def backfill(
    *,
    preset: Annotated[
        list[str] | None, typer.Option(help="Only this preset; can be repeated. Default: all of them.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the files.")] = False,
) -> None:
    """Queue all images that lack a preset as it is configured now; workers make it in the background."""
    _become(
        "backfill",
        *(f"--preset={name}" for name in preset or ()),
        *(["--dry-run"] if dry_run else []),
    )


@app.command()
def migrate(
    *,
    check: Annotated[bool, typer.Option(help="Also see whether models and migrations agree.")] = False,
) -> None:
    """Bring the database to the newest schema."""
    with _one_line_errors():
        settings = load_settings()
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        migrations.upgrade(settings.effective_database_url)
        if check:
            migrations.check_models(settings.effective_database_url)
    typer.echo(f"The database has the newest schema ({migrations.newest_revision()}).")


@app.command()
def rotate_token_key(
    *,
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="End all access tokens of now: for a secret that got out.")
    ] = False,
) -> None:
    """Make a new key for access tokens; running processes take it up within a minute."""
    with _one_line_errors():
        settings = load_settings()
        _rotate(settings, TokenKey, lifetime=settings.access_token_ttl, revoke_old=revoke_old)
    typer.echo("New access tokens are signed with the new key from now on.")


@app.command()
def rotate_signing_key(
    *,
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="End all signed URLs of now: for a secret that got out.")
    ] = False,
) -> None:
    """Make a new key for the service's signed URLs; running processes take it up by themselves."""
    with _one_line_errors():
        settings = load_settings()
        _rotate(settings, SigningKey, lifetime=MAX_KEY_USE, revoke_old=revoke_old)
    typer.echo("New URLs are signed with the new key from now on.")


def main() -> None:
    app()


def _warn_about_env_file() -> None:
    """Only the API does it: of a whole service that starts, one line is enough."""
    mode = exposed_env_file()
    if mode is not None:
        detail = "Others on this machine can read or change the secrets in it."
        cure = f"chmod 600 {ENV_FILE}"
        log.warning("settings.env_file_exposed", file=str(ENV_FILE), mode=mode, detail=detail, cure=cure)


def _become(role: str, *options: str) -> None:
    # Replaces this process, so that no import of the API stays in a worker's memory.
    os.execv(sys.executable, [sys.executable, "-m", "workers", role, *options])  # noqa: S606 - an argv, no shell


def _check_port(settings: Settings) -> None:
    """Raises MediaServiceError (conflict): else the API would die again and again beside another server."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise MediaServiceError(
                ErrorKind.CONFLICT,
                "port-in-use",
                f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}). Does the service run "
                "already? MEDIA_PORT chooses another port.",
            ) from error


async def _ensure_admin(settings: Settings) -> list[str]:
    """The admin's key, if it was made just now; it is shown at once, in case the start fails later."""
    database = Database(settings.effective_database_url, pool_size=1)
    wanted = settings.admin_api_key.get_secret_value() if settings.admin_api_key else None
    try:
        new_key = await AuthService(database).ensure_admin(wanted)
    finally:
        await database.close()
    if new_key is None:
        return []
    print(f"\n  Admin API key (shown only this once): {new_key}\n", flush=True)
    return [new_key]


def _rotate(settings: Settings, table: type[KeptSecret], *, lifetime: timedelta, revoke_old: bool) -> None:
    async def rotate() -> None:
        database = Database(settings.effective_database_url, pool_size=1)
        try:
            await Keyring(database, table, lifetime=lifetime).rotate(revoke_old=revoke_old)
        finally:
            await database.close()

    migrations.require_newest(settings.effective_database_url)
    asyncio.run(rotate())


def _children(settings: Settings) -> list[Child]:
    """What the whole service consists of, in the order of start."""
    env = {"PYTHONPATH": str(PROJECT_ROOT)}
    pause_seconds = settings.restart_max_pause.total_seconds()
    child = partial(Child, max_backoff_seconds=pause_seconds, without=API_SECRETS)
    children = []
    if settings.redis_url is None:
        bundled = embedded.prepare(settings.data_dir)
        children.append(child("redis", bundled.argv, ready=bundled.is_ready))
    # A setting that only the workers know must stop the start too, not make them die again and again.
    children.append(child("check", [sys.executable, "-m", "workers", "check"], env=env, once=True))
    # The API comes last: the start is over when it answers, and the others load meanwhile.
    worker = [sys.executable, "-m", "workers", "worker"]
    waited_for = f"--lanes={Lane.RENDER}"
    others = f"--lanes={','.join(lane for lane in Lane if lane is not Lane.RENDER)}"
    for role, argv in {
        "worker": [*worker, others],
        # A process of its own: no number of uploads, however slow, keeps an image on the fly waiting.
        "renderer": [*worker, waited_for],
        "dispatcher": [sys.executable, "-m", "workers", "dispatcher"],
    }.items():
        children.append(child(role, argv, env=env, grace_seconds=WORKER_GRACE_SECONDS))
    children.append(
        child(
            "api",
            [sys.executable, "-m", "media_service.cli", "serve"],
            env=env,
            grace_seconds=_api_seconds_to_end(settings),
            ready=_answers(settings),
            without=(),
        )
    )
    return children


def _api_seconds_to_end(settings: Settings) -> float:
    return (settings.shutdown_delay + settings.shutdown_grace).total_seconds() + CLEAN_UP_SECONDS


def _answers(settings: Settings) -> Callable[[], Awaitable[bool]]:
    """A probe: whether the API answers on its port."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound

    async def probe() -> bool:
        try:
            reader, writer = await asyncio.open_connection(host, settings.port)
        except OSError:
            return False
        writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return b" 200 " in status

    return probe


def _greet(settings: Settings, new_keys: list[str]) -> None:
    known = "$MEDIA_ADMIN_API_KEY" if settings.admin_api_key else "<your key>"
    shown = new_keys[0] if new_keys else known
    url = settings.base_url
    lines = [
        "",
        f"  Media Service is running at {url}",
        f"  API documentation           {url}/docs",
        f"  Data directory              {settings.data_dir.resolve()}",
    ]
    lines += [
        "",
        "  Try it:",
        f'  curl -H "Authorization: Bearer {shown}" -F file=@photo.jpg {url}/v1/files',
        "",
    ]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
