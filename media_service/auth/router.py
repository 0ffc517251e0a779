"""`/v1/auth` and `/v1/api-keys`. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response, status

from media_service.auth.dependencies import (
    AnyCaller,
    ApiKeysDep,
    KeyHolder,
    LoginAttemptsDep,
    LoginsDep,
    RegistrationDep,
    forbid_storing,
)
from media_service.auth.schemas import (
    ApiKeyOut,
    ApiKeyPage,
    ApiKeyRequest,
    NewApiKeyOut,
    RefreshRequest,
    Registered,
    RegistrationRequest,
    TokenForm,
    Tokens,
)
from media_service.files.dependencies import Presenter
from media_service.pagination import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_LIMIT
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import Address, AddressRateLimit, RateLimit
from media_service.web.guarded_route import BoundedRoute, GuardedRoute
from media_service.web.responses import problems

public_router = APIRouter(
    prefix="/v1/auth", tags=["Accounts"], route_class=BoundedRoute, dependencies=[Depends(forbid_storing)]
)
router = APIRouter(
    prefix="/v1",
    tags=["Accounts"],
    route_class=GuardedRoute,
    dependencies=[Depends(forbid_storing), Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))],
)


@public_router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    responses=problems(400, 403, 413, 422, 503),
    dependencies=[Depends(AddressRateLimit(RateClass.REGISTER))],
)
async def register(wanted: RegistrationRequest, registration: RegistrationDep) -> Registered:
    """Make an account, if registration is open.

    The answer is the same for an address that has an account already: then nothing was made or changed, and
    the new password does not open it.
    """
    await registration.register(wanted.email, wanted.password.get_secret_value())
    return Registered(email=wanted.email)


@public_router.post(
    "/token",
    responses=problems(400, 401, 413, 422, 503),
    dependencies=[Depends(AddressRateLimit(RateClass.LOGIN))],
)
async def create_token(
    form: Annotated[TokenForm, Form()], logins: LoginsDep, attempts: LoginAttemptsDep, address: Address
) -> Tokens:
    """Log in by e-mail address and password: the password flow of OAuth 2.0."""
    await attempts.admit(form.username, address)
    issued = await logins.login(form.username, form.password.get_secret_value(), scope=form.scope)
    await attempts.succeeded(form.username, address)
    return Tokens.from_issued(issued)


@public_router.post(
    "/refresh",
    responses=problems(400, 401, 413, 422, 503),
    dependencies=[Depends(AddressRateLimit(RateClass.WRITE))],
)
async def refresh_token(given: RefreshRequest, logins: LoginsDep) -> Tokens:
    """Exchange a refresh token for new tokens. Used a second time, it ends the login."""
    return Tokens.from_issued(await logins.refresh(given.refresh_token))


@router.post(
    "/auth/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403),
)
async def logout(caller: AnyCaller, logins: LoginsDep) -> None:
    """End the login that this access token came of: its refresh and access tokens stop at once."""
    await logins.logout(caller)


@router.post(
    "/api-keys", status_code=status.HTTP_201_CREATED, responses=problems(400, 401, 403, 409, 413, 422)
)
async def create_api_key(wanted: ApiKeyRequest, caller: KeyHolder, api_keys: ApiKeysDep) -> NewApiKeyOut:
    """Make an API key. Its secret is in this answer and nowhere else."""
    made = await api_keys.create(caller, name=wanted.name, scopes=wanted.scopes, expires_in=wanted.lifetime)
    return NewApiKeyOut.from_new(made)


@router.get("/api-keys", responses=problems(400, 401, 403, 422))
async def list_api_keys(
    request: Request,
    response: Response,
    caller: KeyHolder,
    api_keys: ApiKeysDep,
    presenter: Presenter,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS)] = None,
) -> ApiKeyPage:
    """List your API keys, newest first, without their secrets."""
    page = await api_keys.list_page(caller, cursor=cursor, limit=limit)
    if page.next_cursor is not None:
        response.headers["Link"] = presenter.next_link(
            "/v1/api-keys", request.query_params.multi_items(), page.next_cursor
        )
    return ApiKeyPage(items=[ApiKeyOut.from_row(key) for key in page.keys], next_cursor=page.next_cursor)


@router.delete(
    "/api-keys/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 409, 422),
)
async def delete_api_key(key_id: UUID, caller: KeyHolder, api_keys: ApiKeysDep) -> None:
    """End an API key at once."""
    await api_keys.revoke(key_id, caller)
