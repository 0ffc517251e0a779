"""The user services of this process. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.users.profile import Profile
from media_service.users.removal import UserRemoval
from media_service.users.service import Users


async def get_users(request: Request) -> Users:
    users: Users = request.app.state.users
    return users


async def get_removal(request: Request) -> UserRemoval:
    removal: UserRemoval = request.app.state.user_removal
    return removal


async def get_profile(request: Request) -> Profile:
    profile: Profile = request.app.state.profile
    return profile


UsersDep = Annotated[Users, Depends(get_users)]
RemovalDep = Annotated[UserRemoval, Depends(get_removal)]
ProfileDep = Annotated[Profile, Depends(get_profile)]
