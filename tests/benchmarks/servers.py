"""The contenders as processes: our whole service by its one command, the baselines by uvicorn."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from media_service.supervisor.process import die_with_parent
from tests.benchmarks.processes import tree
from tests.support.ports import free_port

PROJECT_ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 40
"""A worker may finish its job first; then the supervisor itself uses force."""


class Server:
    """A process that listens on `port`; started and stopped with the block. Its output is in `folder/log`."""

    def __init__(self, argv: Sequence[str], *, folder: Path, env: Mapping[str, str], port: int) -> None:
        self.port = port
        self.folder = folder
        self.headers: dict[str, str] = {}
        self._argv = argv
        # The user's own settings must not take part; another folder keeps a .env out.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_")}
        self._env = {**inherited, "PYTHONPATH": str(PROJECT_ROOT), **env}

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The root of the process tree."""
        return self._process.pid

    @property
    def api_pid(self) -> int:
        """The process that serves HTTP: the one that listens on the port."""
        for process in tree(self.pid):
            listening = [found.laddr.port for found in process.net_connections() if found.status == "LISTEN"]
            if self.port in listening:
                pid: int = process.pid
                return pid
        raise psutil.NoSuchProcess(self.pid)

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no start:\n{(self.folder / 'log').read_text()[-2000:]}") from error
                time.sleep(0.05)
            else:
                return


def our_service(folder: Path, **settings: str) -> Server:
    """API, worker, dispatcher, Redis and SQLite on local storage, as `make run` starts them."""
    key = f"msk_bench_{secrets.token_hex(20)}"
    port = free_port()
    env = {
        "MEDIA_PORT": str(port),
        "MEDIA_DATA_DIR": str(folder / "data"),
        "MEDIA_ADMIN_API_KEY": key,
        # One key sends all there is: counted as ever, and never refused.
        **{f"MEDIA_RATE_LIMIT_{name}": "10000000/minute" for name in ("READ", "CONTENT", "WRITE", "UPLOAD")},
    }
    argv = [sys.executable, "-m", "media_service.cli", "up"]
    server = Server(argv, folder=folder, env={**env, "MEDIA_LOG_LEVEL": "info", **settings}, port=port)
    server.headers = {"Authorization": f"Bearer {key}"}
    return server


def baseline(folder: Path) -> Server:
    """`baselines.py` under one uvicorn process, with the same loop and parser as ours and no access log."""
    port = free_port()
    app = "tests.benchmarks.baselines:app"
    argv = [sys.executable, "-m", "uvicorn", app, f"--port={port}", "--no-access-log"]
    return Server(argv, folder=folder, env={}, port=port)


def presets(format_name: str) -> str:
    sizes = {"thumb": 256, "small": 800, "large": 1600}
    return json.dumps(
        [
            {"name": name, "width_px": side, "height_px": side, "format": format_name}
            for name, side in sizes.items()
        ]
    )
