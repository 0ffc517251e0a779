"""Workers that make images on the fly, without a broker: whoever asks is heard at once, in a thread."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from media_service.broker.messages import Lane
from media_service.exceptions import ErrorKind, MediaServiceError
from tests.support.api_server import ApiServer
from tests.support.workshop import Workshop
from workers.jobs.render_transform import render_transform


class CountingSandbox:
    """The real sandbox, which counts the edits that it is asked for."""

    def __init__(self, sandbox: Any, *, pause_seconds: float = 0.0) -> None:
        self._sandbox = sandbox
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self.edits = 0

    def edit_image(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            self.edits += 1
        time.sleep(self._pause_seconds)
        return self._sandbox.edit_image(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox, name)


class Darkroom:
    """The bell of the API, and workers. `asked` counts messages, `sandbox.edits` computations."""

    def __init__(self, workshop: Workshop, *, pause_seconds: float = 0.0) -> None:
        self.sandbox = CountingSandbox(workshop.context.sandbox, pause_seconds=pause_seconds)
        self.context = replace(workshop.context, sandbox=self.sandbox)  # type: ignore[arg-type]  # stands in
        self.asked = 0
        self.is_deaf = False
        """Messages are taken and lost."""
        self.broker_is_away = False
        self.is_full = False
        self._workers = ThreadPoolExecutor(4)

    def has_room(self, lane: Lane) -> bool:
        if lane is not Lane.RENDER:
            raise AssertionError(f"images are asked for in {lane}")
        return not self.is_full

    def ask_for_render(self, file_id: UUID, digest: str) -> "Future[None]":
        self.asked += 1
        sent: Future[None] = Future()
        if self.broker_is_away:
            sent.set_exception(MediaServiceError(ErrorKind.UNAVAILABLE, "broker-unavailable", "away"))
            return sent
        if not self.is_deaf:
            self._workers.submit(render_transform, file_id, digest, self.context)
        sent.set_result(None)
        return sent

    def close(self) -> None:
        self._workers.shutdown()


@contextmanager
def darkroom(workshop: Workshop, *servers: ApiServer, pause_seconds: float = 0.0) -> Iterator[Darkroom]:
    """Put one behind these API processes while the block runs."""
    room = Darkroom(workshop, pause_seconds=pause_seconds)
    flights = [server.app.state.images._flight for server in servers]
    bells = [flight._bell for flight in flights]
    for flight in flights:
        flight._bell = room
    try:
        yield room
    finally:
        for flight, bell in zip(flights, bells, strict=True):
            flight._bell = bell
        room.close()
