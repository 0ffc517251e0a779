"""Whether a key was ever given out: few looks for all who ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from media_service.auth.issued_keys import MAX_AT_ONCE, PAUSE_SECONDS, IssuedKeys
from media_service.auth.keys import digest_of
from media_service.database import Database
from media_service.models import utc_now
from tests.support.accounts import log_in, make_account, make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner

T = TypeVar("T")


def with_issued_keys(backend: Backend, ask: Callable[[IssuedKeys], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(backend.settings().effective_database_url, pool_size=2)
        try:
            return await ask(IssuedKeys(database))
        finally:
            await database.close()

    return asyncio.run(run())


def test_keys_and_upload_tokens_are_known_whether_or_not_they_are_good(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    revoked = clean_backend.add_owner(revoked_at=utc_now())
    shown, _ = make_upload_token(server, log_in(server, make_account(server)).headers)
    keys = [owner.key, revoked.key, shown["token"], f"{owner.key}x", "msk_made_up", "mut_made_up", "\0"]

    async def ask(issued: IssuedKeys) -> list[bool]:
        return await asyncio.gather(*(issued.has(digest_of(key)) for key in keys))

    assert with_issued_keys(clean_backend, ask) == [True] * 3 + [False] * 4


def test_all_who_ask_at_the_same_time_share_one_look_and_the_next_one_waits(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    async def ask(issued: IssuedKeys) -> float:
        digests = [digest_of(owner.key), *(digest_of(str(number)) for number in range(MAX_AT_ONCE))]
        started = time.monotonic()
        first = await asyncio.gather(*(issued.has(digest) for digest in digests))
        assert first == [True] + [False] * MAX_AT_ONCE
        assert await issued.has(digests[0])
        return time.monotonic() - started

    assert with_issued_keys(clean_backend, ask) >= PAUSE_SECONDS


def test_look_has_no_room_for_more_than_it_can_do(server: ApiServer, owner: Owner, clean_backend: Backend):
    async def ask(issued: IssuedKeys) -> None:
        crowd = [asyncio.ensure_future(issued.has(digest_of(str(number)))) for number in range(MAX_AT_ONCE)]
        await asyncio.sleep(0)
        assert await issued.has(digest_of(owner.key)) is False
        assert set(await asyncio.gather(*crowd)) == {False}
        assert await issued.has(digest_of(owner.key)) is True

    with_issued_keys(clean_backend, ask)
