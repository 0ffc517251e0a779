"""The HTTP server: uvicorn with our bounds, and a stop that a load balancer can follow. API room."""

import asyncio
import resource
import socket
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from media_service.web.config import HttpSettings
from media_service.web.http_protocol import BoundedHttpProtocol, ConnectionLimits

log = structlog.get_logger(__name__)

KEEP_ALIVE_SECONDS = 75
"""Longer than the idle timeout of usual proxies (60 s), so that the proxy closes first."""

OTHER_FILES = 200
"""Open files that are no clients': storage, database, Redis, listening sockets, spilled parts."""


def server_config(app: FastAPI, settings: HttpSettings, **more: Any) -> uvicorn.Config:
    """How uvicorn serves this application; `more` is where it listens."""
    limits = ConnectionLimits(
        max_connections=min(settings.max_connections, _files_for_clients()),
        header_timeout=settings.header_timeout,
    )
    return uvicorn.Config(
        app,
        http=partial(BoundedHttpProtocol, limits=limits),  # type: ignore[arg-type]  # called like the class
        # There is nothing to talk to yet, and uvicorn's refusals are no problem documents.
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # The environment's FORWARDED_ALLOW_IPS must not decide whom we believe.
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace.total_seconds()),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        **more,
    )


def _files_for_clients() -> int:
    """How many connections this process may have, after asking for as many files as it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - OTHER_FILES, hard // 2) if hard != resource.RLIM_INFINITY else 1_000_000


class DrainingServer(uvicorn.Server):
    """On SIGTERM `/readyz` says no first, then connections are refused, then running requests end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: HttpSettings) -> None:
        super().__init__(config)
        self._app = app
        self._delay_seconds = settings.shutdown_delay.total_seconds()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called when the signal came; the listening sockets are still open here."""
        self._app.state.is_draining = True
        log.info("api.draining", seconds=self._delay_seconds)
        await asyncio.sleep(self._delay_seconds)
        await super().shutdown(sockets)
