"""New accounts. API room.

Does registration tell who has an account? With mail it need not: the answer would be "look into your inbox"
for everybody. This service sends none. What it does instead: a known address gets the very same 201, after
the same work, and nothing is made or changed. What is left is that whoever registers may then try to log in,
and fails if the address was taken: no service that lets people in at once can hide that. It costs them an
attempt at a login, which can be limited and watched, as all of them.
"""

from typing import Any

import structlog

from media_service.auth import queries
from media_service.auth.models import Role
from media_service.auth.passwords import Passwords
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import new_id

log = structlog.get_logger(__name__)


class Registration:
    """Lets strangers make accounts, if `is_open`. Attempts are counted by who calls this, or by nobody."""

    def __init__(
        self,
        database: Database,
        *,
        passwords: Passwords,
        is_open: bool,
        quota_bytes: int | None,
        quota_files: int | None,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._is_open = is_open
        self._quotas = {"quota_bytes": quota_bytes, "quota_files": quota_files}

    async def register(self, email: str, password: str) -> None:
        """Make a user of this (normalised) address, unless there is one: of a hundred at once, one wins.

        Nothing tells the caller which it was. Raises MediaServiceError (forbidden) if registration is closed.
        """
        if not self._is_open:
            raise MediaServiceError(
                ErrorKind.FORBIDDEN,
                "registration-disabled",
                "Accounts are made by an admin here; registration is not open.",
            )
        password_hash = await self._passwords.hash(password)
        values: dict[str, Any] = {
            "id": new_id(), "role": Role.USER, "email": email, "password_hash": password_hash, **self._quotas
        }  # fmt: skip
        async with self._database.transaction() as session:
            statement = queries.insert_user(session.get_bind().dialect.name, values)
            user_id = (await session.execute(statement)).scalar()
        if user_id is not None:
            log.info("user.registered", user_id=str(user_id))
