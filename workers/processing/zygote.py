"""The warm parent of all decode children: one thread, one loop, no image operation. Runs as its own process.

It has imported every decoder, so a child costs a fork (1 ms) and not an interpreter (300 ms). It parses
nothing but one byte per job. As the children's parent it alone knows when a pid is dead: it kills at the
deadline, when the worker hangs up, and when the worker itself has ended.
"""

import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import struct_rusage
from typing import Any, Never

import pi_heif
from PIL import AvifImagePlugin, Image

from workers.processing import confinement, protocol
from workers.processing.child import run_child
from workers.processing.limits import ImageLimits, SandboxLimits
from workers.processing.pipeline import process

_TICK_SECONDS = 5.0
"""Longest sleep of the loop; each tick looks whether the worker still lives. The control socket tells at
once, unless some other process inherited its other end."""


@dataclass(slots=True)
class _Job:
    """A running child. `deadline` is on the monotonic clock, infinite once the child is killed."""

    pid: int
    channel: socket.socket
    deadline: float
    timed_out: bool = False


class Zygote:
    """Serves the control socket until the worker closes it."""

    def __init__(self, control: socket.socket, *, limits: SandboxLimits, image_limits: ImageLimits) -> None:
        self._control = control
        self._limits = limits
        self._process = functools.partial(process, limits=image_limits)
        self._layers = confinement.find_layers()
        self._jobs: dict[int, _Job] = {}  # by the descriptor of the job's channel
        self._worker_pid = os.getppid()
        self._wake, wake_writer = socket.socketpair()
        self._wake.setblocking(False)
        wake_writer.setblocking(False)
        self._wake_writer = wake_writer
        self._poll = select.poll()

    def serve(self) -> None:
        """Return when the worker has gone; no child outlives the call."""
        # A service manager that tells every process to stop means the worker, which first finishes its jobs.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler must exist for the wake-up byte to be sent
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        self._poll.register(self._wake, select.POLLIN)
        self._poll.register(self._control, select.POLLIN)
        self._control.sendall(protocol.encode_line(asdict(self._layers)))
        try:
            while os.getppid() == self._worker_pid and self._turn():
                self._reap()
                self._enforce_deadlines()
        finally:
            for job in self._jobs.values():
                _kill(job)

    def _turn(self) -> bool:
        """Wait for something to happen and see to it; False when the worker closed the control socket."""
        for descriptor, _ in self._poll.poll(self._patience_ms()):
            if descriptor == self._wake.fileno():
                _drain(self._wake)
            elif descriptor != self._control.fileno():
                self._hung_up(self._jobs[descriptor])
            elif not self._accept():
                return False
        return True

    def _patience_ms(self) -> float:
        now = time.monotonic()
        waits = [job.deadline - now for job in self._jobs.values()]
        return 1000 * max(0.0, min([_TICK_SECONDS, *waits]))

    def _accept(self) -> bool:
        """Take one job, or see the end of the control socket."""
        message, descriptors, _, _ = socket.recv_fds(self._control, len(protocol.JOB), 1)
        for descriptor in descriptors:
            self._start(socket.socket(fileno=descriptor))
        return bool(message)

    def _start(self, channel: socket.socket) -> None:
        zygote_pid = os.getpid()
        assert_single_threaded()
        try:
            channel.send(protocol.STARTED, socket.MSG_DONTWAIT)
            pid = os.fork()
        except OSError:
            channel.close()  # the worker sees an end without a verdict, or is the one who has gone
            return
        if pid == 0:
            run_child(channel, self._process, limits=self._limits, layers=self._layers, zygote_pid=zygote_pid)
        self._jobs[channel.fileno()] = _Job(pid, channel, time.monotonic() + self._limits.wall_seconds)
        self._poll.register(channel, 0)  # hang-ups only: what is written there is between worker and child

    def _hung_up(self, job: _Job) -> None:
        """Nobody waits for this job any more."""
        self._poll.unregister(job.channel)  # a hang-up is reported without end
        _kill(job)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for job in self._jobs.values():
            if job.deadline <= now:
                job.timed_out = True
                _kill(job)

    def _reap(self) -> None:
        for job in list(self._jobs.values()):
            pid, status, usage = os.wait4(job.pid, os.WNOHANG)
            if pid:
                self._finish(job, _verdict(job, status, usage))

    def _finish(self, job: _Job, verdict: dict[str, Any]) -> None:
        del self._jobs[job.channel.fileno()]
        with contextlib.suppress(KeyError):
            self._poll.unregister(job.channel)
        with contextlib.suppress(OSError), job.channel:
            # A leading newline ends a line in whose middle the child was killed. Never blocks the loop: a
            # worker that does not read gets no verdict, which it takes for a crash.
            job.channel.sendmsg([b"\n", protocol.encode_line(verdict)], [], socket.MSG_DONTWAIT)


def _verdict(job: _Job, status: int, usage: struct_rusage) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(status)
    return {
        "exit_status": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "timed_out": job.timed_out,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def _kill(job: _Job) -> None:
    job.deadline = float("inf")
    # The group may not exist yet (the child has not reached setsid), so the child by name as well. It is
    # not reaped, so neither number can belong to anybody else.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(job.pid, signal.SIGKILL)


def _drain(wake: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while wake.recv(4096):
            pass


def assert_single_threaded() -> None:
    """Raises RuntimeError if this process has a second thread: its locks would be lost to a forked child."""
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) != 1:
        raise RuntimeError("the zygote has more than one thread")


def main() -> Never:
    """`zygote <control descriptor> <limits as JSON>`, as `zygote_process` starts it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    limits = json.loads(sys.argv[2])
    Image.init()  # all plugins now: else a hostile file makes each child import them
    pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as everywhere: jobs run beside each other
    gc.freeze()  # a child's collector must not touch, and so copy, the pages it shares with the zygote
    zygote = Zygote(
        control, limits=SandboxLimits(**limits["sandbox"]), image_limits=ImageLimits(**limits["image"])
    )
    zygote.serve()
    sys.exit(0)
