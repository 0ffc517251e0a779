"""The API under Gunicorn, as infra/gunicorn has it, in processes of its own."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import psutil

from media_service.supervisor.process import die_with_parent
from tests.support.log_watch import check_log
from tests.support.ports import free_port, wait_for_port
from tests.support.service import PROJECT_ROOT

CONFIG = PROJECT_ROOT / "infra" / "gunicorn" / "gunicorn.conf.py"
STOP_SECONDS = 40


def environment_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Settings as a process is given them; nothing of the developer's own takes part."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_")}
    # Without rate limits, unless a test asks for them: one key and one address send all there is.
    values = {"rate_limits": False, **values}
    given = {f"MEDIA_{name.upper()}": str(value) for name, value in values.items()}
    return {**inherited, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONDONTWRITEBYTECODE": "", **given}


class GunicornServer:
    """Serves for as long as its block lasts; `values` are settings by their field names."""

    def __init__(self, values: Mapping[str, Any], *, workers: int = 2, port: int | None = None) -> None:
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory(prefix="media-test-gunicorn-")
        self._env = environment_of({"public_url": self.base_url, **values, "port": self.port})
        self._env["WEB_CONCURRENCY"] = str(workers)
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx2.Client(base_url=self.base_url, timeout=30)

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--config", str(CONFIG)],
                cwd=folder,  # and not the checkout: there may be a developer's .env
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - only a prctl
            )
        try:
            wait_for_port(self.port, self._process)
            # It listens before a process of it is ready; those who come first wait.
            self.client.get("/livez").raise_for_status()
        except BaseException:
            print(self.log, file=sys.stderr)
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.log, file=sys.stderr)
        self.close()

    @property
    def log(self) -> str:
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that serve."""
        children: list[psutil.Process] = psutil.Process(self._running().pid).children()
        return children

    def send_signal(self, number: int) -> None:
        self._running().send_signal(number)

    def wait(self) -> int:
        """Until it has ended; its exit code. Raises TimeoutExpired."""
        return self._running().wait(STOP_SECONDS)

    def close(self) -> None:
        """Stop it, and check what it said."""
        self.client.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                self._process.kill()
                self._process.wait()
            check_log(self.log)
        self._folder.cleanup()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("Gunicorn was not started")
        return self._process
