"""Who may use Companion's routes, and with what. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.auth.dependencies import get_caller_or_none, get_identity
from media_service.auth.identity import Identity
from media_service.auth.scopes import Caller, bad_upload_token
from media_service.auth.shapes import is_upload_token
from media_service.companion.service import CompanionService
from media_service.rate_limits.dependencies import AddressRateLimit
from media_service.web.guarded_route import GuardedRoute


async def get_companion(request: Request) -> CompanionService:
    companion: CompanionService = request.app.state.companion
    return companion


Companion = Annotated[CompanionService, Depends(get_companion)]


async def identify_by_path(
    request: Request, upload_token: str, identity: Annotated[Identity, Depends(get_identity)]
) -> Caller:
    """The caller behind the upload token in the path, since Uppy 6 can send no header.

    No other credential may stand there: paths end up in histories and in the logs of proxies.
    """
    if not is_upload_token(upload_token):
        raise bad_upload_token()
    caller = await get_caller_or_none(request, identity, upload_token)
    if caller is None:
        raise bad_upload_token()
    return caller


class PathRateLimit(AddressRateLimit):
    """Counts a request for the upload token in its path, once that is found to be good."""

    async def __call__(  # type: ignore[override]  # FastAPI reads what it needs from the signature
        self, request: Request, caller: Annotated[Caller, Depends(identify_by_path)]
    ) -> None:
        await self.charge(request, caller)


class TokenRoute(GuardedRoute):
    """Reads no body before the credential in the path is known to be good."""

    async def identify(self, request: Request) -> Caller | None:
        return await identify_by_path(
            request, request.path_params["upload_token"], await get_identity(request)
        )
