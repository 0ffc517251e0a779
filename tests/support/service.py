"""The whole service as a user runs it: `media up` in a process of its own, over a folder of its own."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from media_service.supervisor.process import die_with_parent
from media_service.supervisor.records import Record, end_leftovers
from tests.support.log_watch import check_log
from tests.support.ports import free_port

PROJECT_ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 60.0
LOG_TAIL_LINES = 200


class ServiceError(Exception):
    """The service did not do what it was asked; the message ends with its log."""


class RunningService:
    """A service on a free port. Roles: `redis`, `api`, `worker`, `dispatcher`, and `supervisor` above them.

    `env` adds settings (`MEDIA_...`) to those that keep tests apart; nothing of the developer's own `MEDIA_`
    environment or `.env` is seen. With `data_dir` the data outlives the block, so a second service can take
    it over. The log goes to a file; a block that ends with an exception shows it on stderr.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None, data_dir: Path | None = None) -> None:
        # /tmp and not TMPDIR: sockets lie in here, and their paths must stay under 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="media-test-service-", dir="/tmp"))
        self.data_dir = data_dir or self.folder / "data"
        self.port = free_port()
        self.api_key = secrets.token_urlsafe(32)
        self.env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.log_tail, file=sys.stderr)
        self.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The first admin's credentials."""
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def log(self) -> str:
        """Everything that all processes have said so far."""
        path = self.folder / "service.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def log_tail(self) -> str:
        return "\n".join(self.log.splitlines()[-LOG_TAIL_LINES:])

    @property
    def pids(self) -> dict[str, int]:
        """The process of each role that is up now."""
        records = {path.stem: Record.read(path) for path in (self.data_dir / "run").glob("*.pid")}
        pids = {role: record.pid for role, record in records.items() if record is not None}
        return pids | ({} if self._process is None else {"supervisor": self._process.pid})

    def client(self, *, timeout_seconds: float = 30.0) -> httpx2.Client:
        """A client with the admin's credentials; close it."""
        return httpx2.Client(base_url=self.base_url, headers=self.headers, timeout=timeout_seconds)

    def launch(self) -> None:
        """Start it and return at once."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "media_service.cli", "up"],
                cwd=self.folder,  # and not the checkout: there may be a developer's .env
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - only a prctl
            )

    def start(self) -> None:
        """Start it and wait until it takes requests. Raises ServiceError if it does not."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self, *, timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
        """Wait for `/readyz`, also after a kill. Raises ServiceError."""
        self.wait_until(self._is_ready, "/readyz answers 200", timeout_seconds=timeout_seconds)

    def wait_until(
        self, is_true: Callable[[], bool], what: str, *, timeout_seconds: float = START_TIMEOUT_SECONDS
    ) -> None:
        """Wait for something to become true while the service runs. Raises ServiceError."""
        deadline = time.monotonic() + timeout_seconds
        while not is_true():
            if self._process is None or self._process.poll() is not None:
                raise ServiceError(f"the service ended before this: {what}\n{self.log_tail}")
            if time.monotonic() > deadline:
                raise ServiceError(f"not within {timeout_seconds:g} s: {what}\n{self.log_tail}")
            time.sleep(0.05)

    def kill(self, role: str) -> int:
        """SIGKILL the process of one role; returns its id. The supervisor will start another."""
        # It may be between two lives: a worker of Celery can end with its broker and is started again.
        self.wait_until(lambda: role in self.pids, f"{role} is up")
        pid = self.pids[role]
        os.kill(pid, signal.SIGKILL)
        if role == "supervisor" and self._process is not None:
            self._process.wait()
            self._process = None
        return pid

    @contextmanager
    def one_more(
        self, role: str, *, env: Mapping[str, str] | None = None
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A second `worker` or `dispatcher` beside the supervised one while the block runs."""
        with (self.folder / "service.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers", role],
                cwd=self.folder,
                env={**self._environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_SECONDS)
            finally:
                process.kill()
                process.wait()

    def wait_until_restarted(
        self, role: str, *, old_pid: int, timeout_seconds: float = START_TIMEOUT_SECONDS
    ) -> None:
        """Wait until a role has another process than the one that was killed. Raises ServiceError."""
        self.wait_until(
            lambda: self.pids.get(role, old_pid) != old_pid,
            f"{role} is restarted",
            timeout_seconds=timeout_seconds,
        )

    def stop(self) -> int | None:
        """Stop it as Ctrl-C would and return the exit code, None if it was not running."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServiceError(f"did not stop within {STOP_TIMEOUT_SECONDS:g} s\n{self.log_tail}") from None

    def close(self) -> None:
        """Stop it and remove every trace."""
        try:
            self.stop()
        finally:
            end_leftovers(self.data_dir / "run")
            check_log(self.log, known=(self.api_key,))
            shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_")}
        return {
            **inherited,
            "PYTHONPATH": str(PROJECT_ROOT),
            "PYTHONUNBUFFERED": "1",
            "MEDIA_PORT": str(self.port),
            "MEDIA_DATA_DIR": str(self.data_dir),
            "MEDIA_ADMIN_API_KEY": self.api_key,
            "MEDIA_RATE_LIMITS": "false",  # one key sends all there is
            **self.env,
        }

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.base_url}/readyz", timeout=2).status_code == httpx2.codes.OK
        return False
