"""Every route of the application, and what it asks of whoever calls it."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from media_service.auth.dependencies import RequireScope, get_caller, get_caller_or_none


@dataclass(frozen=True, slots=True)
class WalkedRoute:
    """One method of one path. `scope` is None where any credential will do."""

    method: str
    path: str
    needs_caller: bool
    knows_caller: bool
    scope: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def walk(app: FastAPI) -> list[WalkedRoute]:
    """All routes: the framework's own, and mounted applications (as `* path`), too."""
    found = []
    for route in iter_route_contexts(app.routes):
        path = route.path or str(getattr(route.original_route, "path", ""))
        path = path.replace(":int}", "}")  # a converter is no part of the name
        calls = list(_calls(getattr(route, "dependant", None)))
        scopes = [call._scope for call in calls if isinstance(call, RequireScope)]
        found += [
            WalkedRoute(
                method=method,
                path=path,
                needs_caller=get_caller in calls,
                knows_caller=get_caller_or_none in calls,
                scope=scopes[0].value if scopes else None,
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
