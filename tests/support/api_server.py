"""The API under a real uvicorn on a loopback port, in a thread of the test process.

ASGITransport would hand a whole body over at once and hold a whole answer: streaming, back-pressure, broken
connections and early refusals only show on a socket.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx2
from fastapi import FastAPI

from media_service.config import Settings
from media_service.main import create_app
from media_service.storage.port import Storage
from media_service.web.server import DrainingServer, server_config

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30


class ApiServer:
    """Serves for as long as its block lasts. `make_settings` is given the port as its settings."""

    def __init__(self, make_settings: Callable[..., Settings], **changes: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.settings = make_settings(
            **{"port": self.port, "public_url": self.base_url, "shutdown_grace": 5, **changes}
        )
        self.app: FastAPI = create_app(self.settings)
        self._server = DrainingServer(server_config(self.app, self.settings), self.app, self.settings)
        self._thread = threading.Thread(target=self._serve, name="api-server")
        self.client = httpx2.Client(base_url=self.base_url, timeout=30, verify=False)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError("the API did not start; its log says why")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_SECONDS)
        self._listener.close()

    @contextmanager
    def storage_wrapped(self, wrap: Callable[[Storage], Storage]) -> Iterator[None]:
        """Put a faulty or slow storage in front of the real one while the block runs."""
        storage = self.app.state.storage
        real = storage._storage
        storage._storage = wrap(real)
        try:
            yield
        finally:
            storage._storage = real

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener])
