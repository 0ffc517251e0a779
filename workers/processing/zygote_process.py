"""A zygote as the worker process sees it: a child process and a control socket. Worker room; no decoder."""

import json
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from workers.processing import protocol
from workers.processing.layers import Layers
from workers.processing.limits import ImageLimits, SandboxLimits

_START_SECONDS = 30
"""The imports take 0.3 s on an idle machine and a cold disk; the rest is for a busy one."""

_STOP_SECONDS = 5
"""The zygote leaves within a millisecond of the control socket's end, unless it hangs."""

_ENVIRONMENT = {
    "VIPS_CONCURRENCY": "1",  # jobs run beside each other already; threads would only contend
    "OPENBLAS_NUM_THREADS": "1",  # else numpy starts threads on import, before any fork
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # each further arena reserves 64 MiB of the child's RLIMIT_AS
}
"""All there is: a child must find no secret in its environment."""

_BOOTSTRAP = (
    "import json, sys; "
    "sys.path += [entry for entry in json.loads(sys.argv.pop()) if entry not in sys.path]; "
    "from workers.processing import zygote; zygote.main()"
)
"""`-I` hides the working directory and PYTHONPATH, so the import path travels as an argument."""


class ZygoteProcess:
    """One zygote, started by the constructor. Use from one thread at a time."""

    def __init__(self, *, limits: SandboxLimits, image_limits: ImageLimits) -> None:
        """Raises OSError or RuntimeError if it does not come up."""
        self._control, theirs = socket.socketpair()
        numbers = json.dumps({"sandbox": asdict(limits), "image": asdict(image_limits)})
        with theirs:
            self._process = _launch(theirs, numbers)
        try:
            self.layers = self._await_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def open_job(self) -> socket.socket:
        """Have a child forked; its channel is returned. Raises OSError if the zygote has gone."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [protocol.JOB], [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return ours

    def close(self) -> None:
        """End the zygote and with it all its children. May be called twice."""
        self._control.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_ready(self) -> Layers:
        self._control.settimeout(_START_SECONDS)
        try:
            return Layers(**protocol.decode_line(protocol.read_line(self._control)))
        except ValueError as error:
            raise RuntimeError("the zygote ended while it started") from error


def _launch(control: socket.socket, numbers: str) -> subprocess.Popen[bytes]:
    search_path = json.dumps([entry for entry in [_import_root(), *sys.path] if Path(entry).is_absolute()])
    descriptor = control.fileno()
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", _BOOTSTRAP, str(descriptor), numbers, search_path],
        env=_ENVIRONMENT,
        cwd="/",  # holds no directory that somebody may want to remove
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[descriptor],
        start_new_session=True,  # a Ctrl-C in the worker's terminal is the worker's to handle
    )


def _import_root() -> str:
    return str(Path(__file__).resolve().parents[2])
