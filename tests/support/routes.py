"""Every route of the application, and what it asks of whoever calls it."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from media_service.auth.dependencies import RequireScope, RequireUpload, get_caller, get_caller_or_none
from media_service.auth.scopes import Scope
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import AddressRateLimit


@dataclass(frozen=True, slots=True)
class WalkedRoute:
    """One method of one path. `scope` is None where any credential will do."""

    method: str
    path: str
    needs_caller: bool
    knows_caller: bool
    scope: str | None
    rate_class: RateClass | None
    """None where no limit is declared."""
    takes_upload_tokens: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def walk(app: FastAPI) -> list[WalkedRoute]:
    """All routes: the framework's own, and mounted applications (as `* path`), too."""
    found = []
    for route in iter_route_contexts(app.routes):
        path = route.path or str(getattr(route.original_route, "path", ""))
        path = path.replace(":int}", "}")  # a converter is no part of the name
        calls = list(_calls(getattr(route, "dependant", None)))
        is_upload = any(isinstance(call, RequireUpload) for call in calls)
        scopes = [call._scope for call in calls if isinstance(call, RequireScope)]
        limits = [call for call in calls if isinstance(call, AddressRateLimit)]
        scopes += [Scope.FILES_WRITE] if is_upload else []
        found += [
            WalkedRoute(
                method=method,
                path=path,
                needs_caller=get_caller in calls or is_upload,
                knows_caller=get_caller_or_none in calls,
                scope=scopes[0].value if scopes else None,
                rate_class=limits[0].class_of(method) if limits else None,
                takes_upload_tokens=is_upload,
            )
            for method in sorted(route.methods or {"*"})
        ]
    return found


def _calls(dependant: Dependant | None) -> Iterator[object]:
    """What a route calls for its dependencies, and for theirs."""
    if dependant is not None:
        for inner in dependant.dependencies:
            yield inner.call
            yield from _calls(inner)
