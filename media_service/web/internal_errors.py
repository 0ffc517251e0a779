"""An answer when all else failed. API room.

Inside of what every answer needs (CORS, secure headers, the lingering close), so that this one has it too.
"""

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_service.web.blob_response import BrokenOffError
from media_service.web.problems import problem

log = structlog.get_logger("media_service.request")


class InternalErrors:
    """Answers a defect with a problem that has no details, if no answer has begun.

    One that has begun stays as it is: the server then ends the connection short of its Content-Length,
    which no client takes for a whole file.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except BrokenOffError as error:
            log.warning("request.broken_off", cause=repr(error.__cause__))
        except Exception:
            log.exception("request.crashed")
            if not has_begun:
                await _answer(scope, receive, send)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    response = problem(
        Request(scope),
        status=500,
        code="internal-error",
        detail="Something broke that should not. Please report the request_id.",
    )
    await response(scope, receive, send)
