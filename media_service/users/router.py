"""`/v1/me` and `/v1/users`. API room."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, status
from pydantic import SecretStr

from media_service.auth.dependencies import Admin, AnyCaller, forbid_storing, require_admin
from media_service.files.dependencies import Presenter
from media_service.pagination import DEFAULT_LIMIT, MAX_CURSOR_CHARACTERS, MAX_LIMIT
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.dependencies import RateLimit, limit_own_password
from media_service.users.dependencies import ProfileDep, RemovalDep, UsersDep
from media_service.users.schemas import Me, MeChange, NewUser, UsageOut, UserChange, UserOut, UserPageOut
from media_service.web.guarded_route import GuardedRoute
from media_service.web.responses import problems

_RATE_LIMIT = Depends(RateLimit(RateClass.READ, changes=RateClass.WRITE))

router = APIRouter(
    prefix="/v1",
    tags=["Accounts"],
    route_class=GuardedRoute,
    dependencies=[Depends(forbid_storing), _RATE_LIMIT],
)

admin_router = APIRouter(
    prefix="/v1/users",
    tags=["Accounts"],
    route_class=GuardedRoute,
    dependencies=[Depends(forbid_storing), _RATE_LIMIT, Depends(require_admin)],
)


@router.get("/me", responses=problems(401, 403, 404))
async def get_me(caller: AnyCaller, profile: ProfileDep) -> Me:
    """Describe yourself, and what the credential you sent may do."""
    return Me.from_user(await profile.get(caller), caller)


@router.patch(
    "/me",
    responses=problems(400, 401, 403, 404, 409, 413, 422),
    dependencies=[Depends(limit_own_password)],
)
async def change_me(change: MeChange, caller: AnyCaller, profile: ProfileDep) -> Me:
    """Change your e-mail address or your password. A new password ends all your other logins."""
    user = await profile.change(
        caller,
        email=change.email,
        password=_revealed(change.password),
        current_password=_revealed(change.current_password),
    )
    return Me.from_user(user, caller)


@router.get("/me/usage", responses=problems(401, 403, 404))
async def get_usage(caller: AnyCaller, profile: ProfileDep) -> UsageOut:
    """Tell what you store, what your uploads on their way reserve, and what you may store."""
    return UsageOut.from_usage(await profile.usage(caller))


@admin_router.get("", responses=problems(400, 401, 403, 422))
async def list_users(
    request: Request,
    response: Response,
    users: UsersDep,
    presenter: Presenter,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS)] = None,
) -> UserPageOut:
    """List users, newest first."""
    page = await users.list_page(cursor=cursor, limit=limit)
    if page.next_cursor is not None:
        response.headers["Link"] = presenter.next_link(
            "/v1/users", request.query_params.multi_items(), page.next_cursor
        )
    return UserPageOut(items=[UserOut.from_user(user) for user in page.users], next_cursor=page.next_cursor)


@admin_router.post("", status_code=status.HTTP_201_CREATED, responses=problems(400, 401, 403, 409, 413, 422))
async def create_user(wanted: NewUser, users: UsersDep) -> UserOut:
    """Make a user, whether or not registration is open."""
    user = await users.create(
        wanted.email,
        wanted.password.get_secret_value(),
        role=wanted.role,
        quota_bytes=wanted.quota_bytes,
        quota_files=wanted.quota_files,
    )
    return UserOut.from_user(user)


@admin_router.get("/{user_id}", responses=problems(401, 403, 404, 422))
async def get_user(user_id: UUID, users: UsersDep) -> UserOut:
    """Describe one user."""
    return UserOut.from_user(await users.get(user_id))


@admin_router.patch("/{user_id}", responses=problems(400, 401, 403, 404, 409, 413, 422))
async def change_user(user_id: UUID, change: UserChange, users: UsersDep) -> UserOut:
    """Change role, quotas or password; disable or enable. Credentials of a disabled user stop at once."""
    changes = change.model_dump(exclude_unset=True, exclude={"password"})
    user = await users.change(user_id, changes, password=_revealed(change.password))
    return UserOut.from_user(user)


@admin_router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    responses=problems(401, 403, 404, 409, 422),
)
async def delete_user(user_id: UUID, caller: Admin, removal: RemovalDep) -> None:
    """Delete a user with all files and keys. The user is disabled first, so a cut request can be repeated."""
    await removal.delete(user_id, caller)


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
