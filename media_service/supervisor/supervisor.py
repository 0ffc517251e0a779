"""Runs the processes of the one-command service: starts them in order, restarts them, stops them. API room.

Why not leave it to systemd or compose: `media up` must be enough on a bare machine, and a Celery worker
may exit for good when its broker restarts. Nothing in here knows what the children do.

One thread, by design: children are noticed through SIGCHLD, not by a waiting thread each, so that code
between fork and exec is safe and the parent-death signal (tied to the spawning thread) means the process.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from media_service.supervisor.process import has_exited, kill_group, reap, send, spawn
from media_service.supervisor.records import (
    RUN_TOKEN_VARIABLE,
    AlreadyRunningError,
    Record,
    end_leftovers,
    exclusive,
)

FIRST_BACKOFF_SECONDS = 0.2
"""Short: a crash of a worker should be over before a user looks twice."""
HEALTHY_AFTER_SECONDS = 30.0
"""A life this long forgets earlier crashes."""
PROBE_INTERVAL_SECONDS = 0.02
"""Adds half of itself to each start; a probe is one connection over loopback."""
EXIT_FAILURE = 1

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Child:
    """One process to keep running.

    `env` is added to this process's environment, from which `without` is taken away first: names in capital
    letters. `ready` is asked again and again until it says True;
    without it a child counts as ready once started. A child with `once` is a step of the start: it must
    exit with 0 before the next one is started, and is not restarted.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    without: Collection[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    """From the stop signal to SIGKILL: the longest that the child's work in hand may take."""
    ready: Callable[[], Awaitable[bool]] | None = None
    ready_timeout_seconds: float = 60.0
    once: bool = False
    max_backoff_seconds: float = 10.0
    """Between its deaths and new starts: a child that cannot live costs one start per so many seconds, and is
    back so soon once its cause is gone."""


class StartError(Exception):
    """A child did not come up; the message is one line for people."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def supervise(
    children: Sequence[Child],
    *,
    run_dir: Path,
    prepare: Callable[[], Awaitable[None]] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Run the children until SIGINT, SIGTERM or SIGHUP; returns the exit code of the whole.

    0 after an orderly stop, 1 (or the child's own code) and a line on stderr if the start fails. A child
    that dies once everything is up is restarted for ever. A second signal ends the grace. `prepare` runs
    before the first child, when nobody else can be using the data any more; what it raises ends the start.
    `run_dir` belongs to one supervisor at a time and holds `<name>.pid` with each child's process id.
    """
    try:
        with exclusive(run_dir):
            if leftovers := end_leftovers(run_dir):
                log.warning("supervisor.leftovers_killed", pids=leftovers)
            if prepare is not None:
                await prepare()
            return await _Supervisor(children, run_dir).run(on_ready)
    except (AlreadyRunningError, StartError) as error:
        print(error, file=sys.stderr, flush=True)
        return error.exit_code if isinstance(error, StartError) else EXIT_FAILURE


class _Supervisor:
    """The state of one run: which slots are up, and whether somebody asked to stop."""

    def __init__(self, children: Sequence[Child], run_dir: Path) -> None:
        token = secrets.token_hex(16)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._slots = [_Slot(child, run_dir, token, self._hurry) for child in children]
        self._keepers: list[asyncio.Task[None]] = []

    async def run(self, on_ready: Callable[[], None] | None) -> int:
        with self._signals():
            try:
                await self._until_stopping(self._start(on_ready))
                await self._until_stopping(self._watch())
            finally:
                await self._stop()
        return 0

    async def _start(self, on_ready: Callable[[], None] | None) -> None:
        started = time.monotonic()
        for slot in self._slots:
            await slot.start()
            if not slot.child.once:
                self._keepers.append(asyncio.create_task(slot.keep_running()))
        log.info("supervisor.ready", seconds=round(time.monotonic() - started, 3))
        if on_ready is not None:
            on_ready()

    async def _watch(self) -> None:
        """Wait for ever, unless keeping a child alive fails in a way that is our own mistake."""
        await asyncio.gather(self._stopping.wait(), *self._keepers)

    async def _until_stopping(self, step: Coroutine[None, None, None]) -> None:
        """Run a step to its end, or give it up as soon as a stop is asked for."""
        work = asyncio.create_task(step)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await _cancel(work, stop)

    async def _stop(self) -> None:
        await _cancel(*self._keepers)
        for slot in reversed(self._slots):
            await slot.stop()
        log.info("supervisor.stopped")

    def _on_stop_signal(self, received: signal.Signals) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        log.info("supervisor.stopping", signal=received.name, hurry=self._hurry.is_set())
        self._stopping.set()
        self._notice_exits()

    def _notice_exits(self) -> None:
        for slot in self._slots:
            slot.notice_exit()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        stop_signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means: outlive the terminal
            stop_signals.append(signal.SIGHUP)
        for stop_signal in stop_signals:
            loop.add_signal_handler(stop_signal, self._on_stop_signal, stop_signal)
        loop.add_signal_handler(signal.SIGCHLD, self._notice_exits)
        try:
            yield
        finally:
            for handled in (*stop_signals, signal.SIGCHLD):
                loop.remove_signal_handler(handled)


class _Slot:
    """The place of one child: its present process, if any, its record, and how often it has died."""

    def __init__(self, child: Child, run_dir: Path, token: str, hurry: asyncio.Event) -> None:
        self.child = child
        self._record_path = run_dir / f"{child.name}.pid"
        self._token = token
        self._hurry = hurry
        self._process: subprocess.Popen[bytes] | None = None
        self._exited = asyncio.Event()
        self._started_at = 0.0
        self._backoff_seconds = FIRST_BACKOFF_SECONDS

    async def start(self) -> None:
        """Start the child and wait until it is ready, or done if it runs once. Raises StartError."""
        try:
            self._spawn()
        except OSError as error:
            raise StartError(f"{self.child.name} cannot be started: {error}") from error
        exited = asyncio.create_task(self._exited.wait())
        ready = asyncio.create_task(self._wait_until_ready())
        try:
            await asyncio.wait({exited, ready}, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                self._end_of_start(self._reap())
            elif not ready.result():
                raise StartError(
                    f"{self.child.name} was not ready within {self.child.ready_timeout_seconds:g} s"
                )
            else:
                log.info("supervisor.child_ready", child=self.child.name, seconds=self._age())
        finally:
            await _cancel(exited, ready)

    async def keep_running(self) -> None:
        """Restart the child whenever it dies, until cancelled."""
        while True:
            await self._exited.wait()
            if self._age() >= HEALTHY_AFTER_SECONDS:
                self._backoff_seconds = FIRST_BACKOFF_SECONDS
            exit_code = self._reap()
            log.warning(
                "supervisor.child_exited",
                child=self.child.name,
                exit_code=exit_code,
                restart_in_seconds=self._backoff_seconds,
            )
            await asyncio.sleep(self._backoff_seconds)
            self._backoff_seconds = min(self._backoff_seconds * 2, self.child.max_backoff_seconds)
            self._respawn()

    async def stop(self) -> None:
        """Ask the child to stop, wait for its grace, then take the whole group."""
        if self._process is None:
            return
        send(self._process, self.child.stop_signal)
        if not await self._exits_in_time():
            log.warning("supervisor.child_killed", child=self.child.name)
            kill_group(self._process.pid)
            await self._exited.wait()
        exit_code = self._reap()
        log.info("supervisor.child_stopped", child=self.child.name, exit_code=exit_code)

    def notice_exit(self) -> None:
        """Called on SIGCHLD, which does not say whose."""
        if self._process is not None and has_exited(self._process):
            self._exited.set()

    def _spawn(self) -> None:
        self._exited.clear()
        self._started_at = time.monotonic()
        child = self.child
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in child.without}
        environment = {**inherited, **(child.env or {}), RUN_TOKEN_VARIABLE: self._token}
        self._process = spawn(self.child.argv, environment)
        Record.of(self._process.pid, self._token).write(self._record_path)
        log.info("supervisor.child_started", child=self.child.name, pid=self._process.pid)

    def _respawn(self) -> None:
        try:
            self._spawn()
        except OSError as error:  # Out of processes or memory: as good as a child that died at once.
            log.warning("supervisor.child_not_started", child=self.child.name, error=str(error))
            self._exited.set()

    def _reap(self) -> int | None:
        process, self._process = self._process, None
        self._exited.clear()
        self._record_path.unlink(missing_ok=True)
        return None if process is None else reap(process)

    async def _wait_until_ready(self) -> bool:
        """True when the probe says so, False when its time is up; a child that runs once is never ready."""
        if self.child.once:
            await asyncio.Event().wait()
        if self.child.ready is None:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(self.child.ready_timeout_seconds):
                while not await self.child.ready():  # noqa: ASYNC110 - another process has no event for us
                    await asyncio.sleep(PROBE_INTERVAL_SECONDS)
                return True
        return False

    def _end_of_start(self, exit_code: int | None) -> None:
        if self.child.once and exit_code == 0:
            log.info("supervisor.child_done", child=self.child.name, seconds=self._age())
            return
        code = exit_code if exit_code is not None and exit_code > 0 else EXIT_FAILURE
        raise StartError(f"{self.child.name} stopped during the start ({_explain(exit_code)})", code)

    async def _exits_in_time(self) -> bool:
        exited = asyncio.create_task(self._exited.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            {exited, hurry}, timeout=self.child.grace_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        await _cancel(exited, hurry)
        return self._exited.is_set()

    def _age(self) -> float:
        return round(time.monotonic() - self._started_at, 3)


def _explain(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by {signal.Signals(-exit_code).name}"


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they are over; how they ended is looked at elsewhere."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
