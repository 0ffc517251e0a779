"""`/livez` and `/readyz`. API room."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Literal, TypeVar

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_SECONDS = 0.4
"""A probe must answer quickly also when a dependency hangs (within half a second)."""

T = TypeVar("T")

Check = Callable[[], Awaitable[None]]

MissingLayers = Callable[[], Awaitable[list[str] | None]]
"""Walls that the sandbox of a living worker lacks; None if no worker lives."""

router = APIRouter(tags=["Operations"])


Status = Literal["ok", "unavailable", "draining"]
Result = Literal["ok", "degraded", "unavailable"]


class Health(BaseModel):
    """Whether the process can do its work, and each of its dependencies by name."""

    status: Status
    """`draining`: the process was told to stop; what it has begun it still ends."""
    checks: Annotated[
        dict[str, Result],
        Field(
            description="`database` and `storage` decide on `status`; `redis`, `workers` and `sandbox` do "
            "not: without them files are taken, kept and handed out, and processed later."
        ),
    ]
    missing_layers: Annotated[
        list[str],
        Field(
            description="Walls that the sandbox of at least one living worker lacks, since the kernel of its "
            "machine does not have them. Empty unless `sandbox` is `degraded`."
        ),
    ] = []


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Whether the process answers at all; a supervisor restarts it if not."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(request: Request, response: Response) -> Health:
    """Whether requests should be sent here. Queue and workers may be away: uploads are taken all the same."""
    required: Mapping[str, Check] = request.app.state.required_checks
    optional: Mapping[str, Check] = request.app.state.optional_checks
    checks, (of_workers, missing_layers) = await asyncio.gather(
        _run_all({**required, **optional}), _look_at_workers(request.app.state.missing_layers)
    )
    status: Status = "ok" if all(checks[name] == "ok" for name in required) else "unavailable"
    if getattr(request.app.state, "is_draining", False):
        status = "draining"
    response.status_code = 200 if status == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return Health(status=status, checks=checks | of_workers, missing_layers=missing_layers)


async def _run_all(checks: Mapping[str, Check]) -> dict[str, Result]:
    results = await asyncio.gather(*(_run(name, check) for name, check in checks.items()))
    return dict(zip(checks, results, strict=True))


async def _run(name: str, check: Check) -> Result:
    passed, _ = await _within_budget(name, check)
    return "ok" if passed else "unavailable"


async def _look_at_workers(look: MissingLayers) -> tuple[dict[str, Result], list[str]]:
    """One look answers both: whether a worker lives, and whether a sandbox lacks walls.

    Where no worker lives there is no sandbox either, and none is called sound.
    """
    _, missing = await _within_budget("workers", look)
    if missing is None:
        return {"workers": "unavailable", "sandbox": "unavailable"}, []
    return {"workers": "ok", "sandbox": "degraded" if missing else "ok"}, missing


async def _within_budget(name: str, ask: Callable[[], Awaitable[T]]) -> tuple[bool, T | None]:
    """Whether the dependency answered in time, and what."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return True, await ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not usable
        log.warning("health.check_failed", dependency=name, error=type(error).__name__)
        return False, None
