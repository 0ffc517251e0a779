"""What users see and change of themselves. API room."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from media_service.auth import queries
from media_service.auth.models import Role, User
from media_service.auth.passwords import Passwords
from media_service.auth.scopes import Caller, Scope, missing_scope, scopes_of
from media_service.database import Database
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import utc_now
from media_service.quotas.queries import reserved
from media_service.users.governance import email_taken, found_user

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """A user with what the user's uploads on their way reserve; nothing for a user without a quota."""

    user: User
    reserved_bytes: int
    reserved_files: int


class Profile:
    """The caller's own user."""

    def __init__(self, database: Database, *, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def get(self, caller: Caller) -> User:
        """Raises MediaServiceError (not found) if the user was deleted at this very moment."""
        async with self._database.read() as session:
            return found_user((await session.scalars(queries.user_by_id(caller.owner_id))).one_or_none())

    async def usage(self, caller: Caller) -> Usage:
        """What the caller stores and may store. Raises as `get` does."""
        async with self._database.read() as session:
            user = found_user((await session.scalars(queries.user_by_id(caller.owner_id))).one_or_none())
            reserved_bytes, reserved_files = (await session.execute(*reserved(caller.owner_id))).one()
        return Usage(user, reserved_bytes, reserved_files)

    async def change(
        self, caller: Caller, *, email: str | None, password: str | None, current_password: str | None
    ) -> User:
        """Set e-mail address or password. A new password ends all logins but the caller's own.

        A credential alone is not enough, since it may be a stolen one: the password is needed too. Where none
        was set yet (the first admin), a credential that may do all that the user may, since the login to come
        does. Raises MediaServiceError: forbidden (wrong password, missing scope), conflict (address taken, or
        the password was changed meanwhile).
        """
        user = await self.get(caller)
        known_hash = user.password_hash
        if known_hash is None:
            _check_has_all(caller, user.role)
        else:
            await self._check_password(current_password, known_hash)
        new_hash = await self._passwords.hash(password) if password is not None else None
        try:
            return await self._write(caller, known_hash, email=email, new_hash=new_hash)
        except IntegrityError as error:
            raise email_taken() from error

    async def _check_password(self, given: str | None, known_hash: str) -> None:
        is_right, _ = await self._passwords.verify(given or "", known_hash)
        if not is_right:
            raise MediaServiceError(
                ErrorKind.FORBIDDEN, "wrong-password", "'current_password' is missing or wrong."
            )

    async def _write(
        self, caller: Caller, known_hash: str | None, *, email: str | None, new_hash: str | None
    ) -> User:
        now = utc_now()
        async with self._database.transaction() as session:
            user = found_user((await session.scalars(queries.user_for_change(caller.owner_id))).one_or_none())
            if user.password_hash != known_hash:
                raise MediaServiceError(
                    ErrorKind.CONFLICT, "record-changed", "The password was changed meanwhile; try again."
                )
            if email is not None:
                user.email = email
            if new_hash is not None:
                user.password_hash = new_hash
                await session.execute(queries.revoke_sessions(user.id, at=now, but=_own_session(caller)))
            user.updated_at = now
        log.info("user.changed_profile", user_id=str(user.id), new_password=new_hash is not None)
        return user


def _check_has_all(caller: Caller, role: Role) -> None:
    for scope in sorted(scopes_of(role)):
        if not caller.has(Scope(scope)):
            raise missing_scope(scope)


def _own_session(caller: Caller) -> tuple[UUID, ...]:
    return () if caller.session_id is None else (caller.session_id,)
