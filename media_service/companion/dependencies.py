"""Who may use Companion's routes, and with what. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.auth.dependencies import get_identity
from media_service.auth.identity import Identity
from media_service.auth.scopes import Caller, Scope, missing_scope
from media_service.companion.service import CompanionService
from media_service.web.guarded_route import GuardedRoute


async def get_companion(request: Request) -> CompanionService:
    companion: CompanionService = request.app.state.companion
    return companion


Companion = Annotated[CompanionService, Depends(get_companion)]


async def identify_by_path(upload_token: str, identity: Annotated[Identity, Depends(get_identity)]) -> Caller:
    """The caller behind the credential in the path, since Uppy 6 can send no header.

    The one place that says what may stand there. Log lines name the route and never the path.
    """
    caller = await identity.identify(upload_token)
    if not caller.has(Scope.FILES_WRITE):
        raise missing_scope(Scope.FILES_WRITE)
    return caller


class TokenRoute(GuardedRoute):
    """Reads no body before the credential in the path is known to be good."""

    async def identify(self, request: Request) -> Caller | None:
        return await identify_by_path(request.path_params["upload_token"], await get_identity(request))
