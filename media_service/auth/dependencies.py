"""The chain from a request's headers to its caller. API room.

All of it is async although little of it waits: FastAPI runs a plain function in a thread.
"""

from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from structlog.contextvars import bind_contextvars

from media_service.auth.api_keys import ApiKeys
from media_service.auth.guesses import Guesses
from media_service.auth.identity import Identity
from media_service.auth.login_attempts import LoginAttempts
from media_service.auth.logins import Logins
from media_service.auth.registration import Registration
from media_service.auth.scopes import Caller, Scope, missing_credentials, missing_scope, only_for_uploads

_bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`msk_...`), an access token, or for uploads an upload token (`mut_...`)",
)
_CALLER = "media_service.caller"
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False)
_password = OAuth2PasswordBearer(
    tokenUrl="/v1/auth/token",
    auto_error=False,
    scopes={scope.value: scope.meaning for scope in Scope},
)
"""For the documentation and the clients that are made of it: what it finds, `_bearer` finds too."""


async def get_identity(request: Request) -> Identity:
    identity: Identity = request.app.state.identity
    return identity


async def get_logins(request: Request) -> Logins:
    logins: Logins = request.app.state.logins
    return logins


async def get_login_attempts(request: Request) -> LoginAttempts:
    attempts: LoginAttempts = request.app.state.login_attempts
    return attempts


async def get_registration(request: Request) -> Registration:
    registration: Registration = request.app.state.registration
    return registration


async def get_api_keys(request: Request) -> ApiKeys:
    api_keys: ApiKeys = request.app.state.api_keys
    return api_keys


async def forbid_storing(response: Response) -> None:
    """Nobody between us and the client may keep an answer that has a secret (RFC 6749 §5.1)."""
    response.headers["Cache-Control"] = "no-store"


async def get_credential(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    _: Annotated[str | None, Security(_password)],
    api_key: Annotated[str | None, Security(_api_key)],
) -> str | None:
    """The text of the credential, wherever the client put it."""
    return bearer.credentials if bearer is not None else api_key


async def get_caller_or_none(
    request: Request,
    identity: Annotated[Identity, Depends(get_identity)],
    credential: Annotated[str | None, Depends(get_credential)],
) -> Caller | None:
    """The caller, or None for a request without credentials. A wrong credential is always refused.

    Says who calls, and lets nobody in: a caller with an upload token is one, too.

    Found out once per request: `web/guarded_route.py` asks before the body is read. Who sends many wrong ones
    is refused for a while.
    """
    if _CALLER not in request.scope:
        guesses: Guesses = request.app.state.guesses
        host = request.client.host if request.client is not None else None
        found = None if credential is None else await guesses.identify(identity, credential, host=host)
        if found is not None:
            # Ids of rows, no secrets: the log says who did what.
            bind_contextvars(owner_id=str(found.owner_id), credential_id=str(found.credential_id))
        request.scope[_CALLER] = found
    caller: Caller | None = request.scope[_CALLER]
    return caller


def known_caller(request: Request) -> Caller | None:
    """The caller, if the request came far enough to be asked for one."""
    caller: Caller | None = request.scope.get(_CALLER)
    return caller


async def identify_caller(request: Request) -> Caller | None:
    """What `get_caller_or_none` gives, where no dependency can run yet."""
    credential = await get_credential(await _bearer(request), None, await _api_key(request))
    return await get_caller_or_none(request, await get_identity(request), credential)


async def get_visitor(caller: Annotated[Caller | None, Depends(get_caller_or_none)]) -> Caller | None:
    """The caller, or nobody, of a route that is no upload. Refuses upload tokens."""
    if caller is not None and caller.upload_token is not None:
        raise only_for_uploads()
    return caller


async def get_caller(caller: Annotated[Caller | None, Depends(get_visitor)]) -> Caller:
    if caller is None:
        raise missing_credentials()
    return caller


async def get_account_holder(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    """A caller who may try to change the user's own address and password: a login, or a key with `keys`.

    A key that was given away for less gets no chance to guess the password.
    """
    if caller.session_id is None and not caller.has(Scope.KEYS):
        raise missing_scope(Scope.KEYS)
    return caller


class RequireScope:
    """A dependency that lets a caller pass who holds a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
        if not caller.has(self._scope):
            raise missing_scope(self._scope)
        return caller


class RequireUpload:
    """A dependency that lets a caller pass who may upload: by the scope, or by an upload token.

    Only for routes that bind the upload to the token's grant (`uploads/grants.py`).
    """

    async def __call__(self, caller: Annotated[Caller | None, Depends(get_caller_or_none)]) -> Caller:
        if caller is None:
            raise missing_credentials()
        if caller.upload_token is None and not caller.has(Scope.FILES_WRITE):
            raise missing_scope(Scope.FILES_WRITE)
        return caller


Reader = Annotated[Caller, Depends(RequireScope(Scope.FILES_READ))]
Writer = Annotated[Caller, Depends(RequireScope(Scope.FILES_WRITE))]
Uploader = Annotated[Caller, Depends(RequireUpload())]
Deleter = Annotated[Caller, Depends(RequireScope(Scope.FILES_DELETE))]
JobReader = Annotated[Caller, Depends(RequireScope(Scope.JOBS_READ))]
MaybeCaller = Annotated[Caller | None, Depends(get_visitor)]
KeyHolder = Annotated[Caller, Depends(RequireScope(Scope.KEYS))]
require_admin = RequireScope(Scope.ADMIN)
Admin = Annotated[Caller, Depends(require_admin)]
AnyCaller = Annotated[Caller, Depends(get_caller)]
LoginAttemptsDep = Annotated[LoginAttempts, Depends(get_login_attempts)]
LoginsDep = Annotated[Logins, Depends(get_logins)]
RegistrationDep = Annotated[Registration, Depends(get_registration)]
ApiKeysDep = Annotated[ApiKeys, Depends(get_api_keys)]
