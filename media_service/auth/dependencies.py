"""The chain from a request's headers to its caller. API room.

All of it is async although little of it waits: FastAPI runs a plain function in a thread.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from media_service.auth.scopes import Caller, Scope, missing_credentials
from media_service.auth.service import AuthService
from media_service.exceptions import ErrorKind, MediaServiceError

_bearer = HTTPBearer(auto_error=False, description="An API key, `msk_...`")
_CALLER = "media_service.caller"
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False)


async def get_auth(request: Request) -> AuthService:
    auth: AuthService = request.app.state.auth
    return auth


async def get_credential(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    api_key: Annotated[str | None, Security(_api_key)],
) -> str | None:
    """The text of the credential, wherever the client put it."""
    return bearer.credentials if bearer is not None else api_key


async def get_caller_or_none(
    request: Request,
    auth: Annotated[AuthService, Depends(get_auth)],
    credential: Annotated[str | None, Depends(get_credential)],
) -> Caller | None:
    """The caller, or None for a request without credentials. A wrong credential is always refused.

    Found out once per request: `web/guarded_route.py` asks before the body is read.
    """
    if _CALLER not in request.scope:
        request.scope[_CALLER] = None if credential is None else await auth.identify(credential)
    caller: Caller | None = request.scope[_CALLER]
    return caller


async def identify_caller(request: Request) -> Caller | None:
    """What `get_caller_or_none` gives, where no dependency can run yet."""
    credential = await get_credential(await _bearer(request), await _api_key(request))
    return await get_caller_or_none(request, await get_auth(request), credential)


async def get_caller(caller: Annotated[Caller | None, Depends(get_caller_or_none)]) -> Caller:
    if caller is None:
        raise missing_credentials()
    return caller


class RequireScope:
    """A dependency that lets a caller pass who holds a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
        if not caller.has(self._scope):
            raise MediaServiceError(
                ErrorKind.FORBIDDEN,
                "missing-scope",
                f"This credential lacks the scope '{self._scope}'.",
                scope=self._scope.value,
            )
        return caller


Reader = Annotated[Caller, Depends(RequireScope(Scope.FILES_READ))]
Writer = Annotated[Caller, Depends(RequireScope(Scope.FILES_WRITE))]
Deleter = Annotated[Caller, Depends(RequireScope(Scope.FILES_DELETE))]
JobReader = Annotated[Caller, Depends(RequireScope(Scope.JOBS_READ))]
MaybeCaller = Annotated[Caller | None, Depends(get_caller_or_none)]
