"""Lets a request act once, however often it is sent (draft-ietf-httpapi-idempotency-key-header). API room.

The claim is a row with a lease, so a process that dies gives its keys up; the record is written by the
transaction that makes what it records, so there is never one without the other.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from media_service.auth.lost_owner import needing_owner
from media_service.database import Database, aftermath
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.heartbeat import Heartbeat
from media_service.idempotency import queries
from media_service.idempotency.models import MAX_KEY_CHARACTERS, IdempotencyKey
from media_service.models import new_id

log = structlog.get_logger(__name__)

_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARACTERS}}}")
"""Visible ASCII without spaces: UUIDs, quoted or not, and whatever else clients make up."""


@dataclass(frozen=True, slots=True)
class Record:
    """What an earlier request under a key was, and made."""

    fingerprint: str
    made_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A key in the hands of a running request. `record` is there if the request was already done."""

    token: UUID
    record: Record | None
    retention: timedelta

    def complete(self, session: Session, *, fingerprint: str, made_ids: Sequence[UUID]) -> None:
        """Record what was made, inside the transaction that makes it.

        Raises MediaServiceError (unavailable) if the claim was lost: then nothing may be made.
        """
        statement = queries.complete_key(
            self.token,
            fingerprint=fingerprint,
            made_ids=[str(made_id) for made_id in made_ids],
            retention=self.retention,
        )
        if session.execute(statement).first() is None:
            raise MediaServiceError(
                ErrorKind.UNAVAILABLE,
                "upload-interrupted",
                "The service paused for so long that another request took over this key; send it again.",
            )


class IdempotencyKeys:
    """The keys that requests of this process hold, and one task that renews all their leases."""

    def __init__(self, database: Database, *, lease: timedelta, retention: timedelta) -> None:
        self._database = database
        self._lease = lease
        self._retention = retention
        self._held: set[UUID] = set()
        self._heartbeat = Heartbeat(self._renew, lease=lease, failure="idempotency.lease_not_renewed")

    def start(self) -> None:
        self._heartbeat.start()

    async def close(self) -> None:
        await self._heartbeat.close()

    @asynccontextmanager
    async def claim(self, owner_id: UUID, key: str, *, only_for: UUID | None = None) -> AsyncIterator[Claim]:
        """Hold a key while the block runs; leaving it by an exception lets the next request try.

        Keys are the owner's. With `only_for` they are those of one credential, which so can neither learn
        what the owner's other requests made nor be in their way.
        Raises MediaServiceError: invalid for a key that is none, conflict while a twin is running.
        """
        key = checked_key(key)
        claim = await self._take(owner_id, key if only_for is None else _key_of_credential(only_for, key))
        if claim.record is not None:
            yield claim
            return
        self._held.add(claim.token)
        try:
            yield claim
        except BaseException as error:
            await self._release(claim.token, after=error)
            raise
        finally:
            self._held.discard(claim.token)

    async def _take(self, owner_id: UUID, key: str) -> Claim:
        token = new_id()
        with needing_owner():
            return await self._take_as(token, owner_id, key)

    async def _take_as(self, token: UUID, owner_id: UUID, key: str) -> Claim:
        async with self._database.transaction() as session:
            statement = queries.claim_key(
                session.get_bind().dialect.name, owner_id, key, token=token, lease=self._lease
            )
            if (await session.execute(statement)).first() is not None:
                return Claim(token, None, self._retention)
            held = (await session.scalars(queries.held_key(owner_id, key))).one_or_none()
        # None: its holder let go of it between the two statements. The client tries again in any case.
        record = _record_of(held) if held is not None else None
        if held is None or record is None:
            raise MediaServiceError(
                ErrorKind.CONFLICT,
                "idempotency-in-flight",
                "A request with this Idempotency-Key is still running; wait for its answer, or try again.",
                retry_after_seconds=1,
            )
        return Claim(held.token, record, self._retention)

    async def _release(self, token: UUID, *, after: BaseException) -> None:
        try:
            async with aftermath(after), self._database.transaction() as session:
                await session.execute(queries.release_claim(token))
        except MediaServiceError as error:
            log.warning("idempotency.left_to_its_lease", code=error.code)

    async def _renew(self) -> None:
        if self._held:
            async with self._database.transaction() as session:
                await session.execute(queries.renew_claims(list(self._held), lease=self._lease))


def checked_key(key: str) -> str:
    """Raises MediaServiceError (invalid)."""
    if not _KEY.fullmatch(key):
        raise MediaServiceError(
            ErrorKind.INVALID,
            "bad-idempotency-key",
            f"An Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} visible ASCII characters and no spaces.",
        )
    return key


def _key_of_credential(credential_id: UUID, key: str) -> str:
    """Has a space, so it is no key that a client could send; hashed, so it fits the column."""
    return f"{credential_id} {hashlib.sha256(key.encode()).hexdigest()}"


def check_same(record: Record, fingerprint: str) -> None:
    """Raises MediaServiceError (unprocessable) if the record is of another request."""
    if record.fingerprint != fingerprint:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE,
            "idempotency-key-reused",
            "This Idempotency-Key was used for another request; use a new key for each new request.",
        )


def _record_of(held: IdempotencyKey) -> Record | None:
    if held.fingerprint is None:
        return None
    return Record(held.fingerprint, tuple(UUID(made_id) for made_id in held.made_ids))
