"""A real Valkey for the tests, on a unix socket and if asked on a loopback port. It keeps nothing on disk.

`kill()` followed by `start()` is a Redis that lost everything it had, at the same address.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from media_service.broker.embedded import server_binary
from media_service.supervisor.process import die_with_parent
from tests.support.ports import free_port

START_TIMEOUT_SECONDS = 10


class ValkeyServer:
    """A Valkey of its own in a temp folder; gone with the block, or with the test run."""

    def __init__(self, *, tcp: bool = False) -> None:
        self.port = free_port() if tcp else 0
        self._process: subprocess.Popen[bytes] | None = None
        # /tmp and not TMPDIR: the socket's path must stay under 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="media-test-valkey-", dir="/tmp"))

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
        self.close()

    @property
    def socket_path(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        """The address as redis-py and MEDIA_REDIS_URL spell it."""
        return f"unix://{self.socket_path}?db=0"

    @property
    def tcp_url(self) -> str:
        """The address over TCP; only with `tcp=True`."""
        if not self.port:
            raise ValueError("start the server with tcp=True")
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("Valkey is not running")
        return self._process.pid

    def start(self) -> None:
        """Start an empty server at the same address as before; returns when it answers."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(server_binary()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
            )
        self._wait_until_it_answers(self._process)

    def kill(self) -> None:
        """SIGKILL: whatever was in it is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop and remove every trace."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Valkey did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
            except OSError:
                return False
