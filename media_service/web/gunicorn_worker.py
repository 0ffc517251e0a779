"""Gunicorn's worker class and logger for the API. API room; loaded under Gunicorn only.

Gunicorn keeps several processes on one socket; what each of them does with a connection is `server.py` alone,
so nothing that holds for `media serve` is lost: bounds, refusals, the order of a stop. The package
`uvicorn-worker` would bring a uvicorn of its own making, with another parser and other defaults.
"""

import asyncio
import gc
import os
import sys
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from media_service.web.config import HttpSettings
from media_service.web.server import DrainingServer, server_config

BEAT_SECONDS = 1.0
"""Between two signs of life. Far below Gunicorn's `timeout`, after which it kills a silent worker."""


class ApiWorker(Worker):  # type: ignore[misc]  # Gunicorn has no types
    """Serves the application that Gunicorn loaded, `create_app()`, on the sockets that Gunicorn opened."""

    def run(self) -> None:
        app: FastAPI = self.wsgi
        settings: HttpSettings = app.state.http_settings
        config = server_config(app, settings, backlog=self.cfg.backlog, limit_max_requests=self.max_requests)
        server = DrainingServer(config, app, settings)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._serve(server))
        # The end of an interpreter looks for cycles in all that it has loaded: 0.7 s of a core, in every
        # process at the same time, on a machine that may be busy starting their successors.
        gc.freeze()
        if not server.started:
            # Gunicorn then gives up, and says so, instead of starting the next one that cannot live.
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _serve(self, server: DrainingServer) -> None:
        # A task and not uvicorn's own hook, which is silent during a stop: a worker that lets long uploads
        # end after a reload would be killed in the midst of them.
        beating = asyncio.create_task(self._beat(server))
        try:
            await server.serve(sockets=self.sockets)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self, server: DrainingServer) -> None:
        while True:
            self.notify()
            # `alive` ends with a SIGTERM that came before uvicorn listened to signals; another parent means
            # that Gunicorn was killed, and nobody else would stop this process.
            if not self.alive or os.getppid() != self.ppid:
                server.should_exit = True
            await asyncio.sleep(BEAT_SECONDS)


class StructuredLog(Logger):  # type: ignore[misc]  # Gunicorn has no types
    """What Gunicorn itself has to say, in the lines of the service (`observability.py`)."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
