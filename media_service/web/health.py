"""`/livez` and `/readyz`. API room."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_SECONDS = 0.4
"""A probe must answer quickly also when a dependency hangs (within half a second)."""

Check = Callable[[], Awaitable[None]]

router = APIRouter(tags=["Operations"])


Status = Literal["ok", "unavailable", "draining"]


class Health(BaseModel):
    """Whether the process can do its work, and each of its dependencies by name."""

    status: Status
    """`draining`: the process was told to stop; what it has begun it still ends."""
    checks: dict[str, Literal["ok", "unavailable"]]


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Whether the process answers at all; a supervisor restarts it if not."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Whether requests should be sent here. The queue may be away: uploads are taken all the same."""
    required: Mapping[str, Check] = request.app.state.required_checks
    optional: Mapping[str, Check] = request.app.state.optional_checks
    names = [*required, *optional]
    results = await asyncio.gather(
        *(_passes(name, check) for name, check in {**required, **optional}.items())
    )
    checks = dict(zip(names, results, strict=True))
    status: Status = "ok" if all(checks[name] for name in required) else "unavailable"
    if getattr(request.app.state, "is_draining", False):
        status = "draining"
    response.status_code = 200 if status == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return Health(
        status=status,
        checks={name: "ok" if passed else "unavailable" for name, passed in checks.items()},
    )


async def _passes(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not usable
        log.warning("health.check_failed", dependency=name, error=type(error).__name__)
        return False
    return True
