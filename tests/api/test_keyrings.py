"""The keys of access tokens and of signed URLs: several verify, the newest signs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from media_service.auth.keyring import UNKNOWN_PAUSE_SECONDS, Keyring
from media_service.auth.models import TokenKey
from media_service.database import Database
from media_service.models import utc_now
from tests.support.accounts import log_in, login_of, make_account, status_of
from tests.support.api_server import ApiServer
from tests.support.backends import Backend

LIFETIME = timedelta(minutes=15)


def with_keyrings(url: str, scenario: Callable[[Keyring, Keyring], Awaitable[None]]) -> None:
    """Run a scenario with the keyrings of two processes."""

    async def run() -> None:
        databases = [Database(url, pool_size=2) for _ in range(2)]
        first, second = (Keyring(database, TokenKey, lifetime=LIFETIME) for database in databases)
        try:
            await scenario(first, second)
        finally:
            for database in databases:
                await database.close()

    asyncio.run(run())


def test_processes_that_start_together_sign_with_one_key(backend: Backend):
    async def scenario(first: Keyring, second: Keyring) -> None:
        keys = await asyncio.gather(first.signing_key(), second.signing_key())
        assert keys[0] == keys[1]
        assert len(keys[0][1]) == 32

    with_keyrings(backend.new_database(), scenario)


def test_after_a_rotation_the_new_key_signs_and_both_verify_everywhere(backend: Backend):
    async def scenario(first: Keyring, second: Keyring) -> None:
        old, secret = await first.signing_key()
        assert await second.secret_of(old) == secret
        await first.rotate()
        new, new_secret = await first.signing_key()
        assert new != old
        assert await first.secret_of(old) == secret
        assert await second.secret_of(new) == new_secret
        assert (await second.signing_key())[0] == new

    with_keyrings(backend.new_database(), scenario)


def test_unknown_key_ids_do_not_each_ask_the_database(backend: Backend):
    async def scenario(first: Keyring, _: Keyring) -> None:
        await first.signing_key()
        looks, started = set(), time.monotonic()
        for _round in range(3):
            kids = (f"made-up-{number}" for number in range(100))
            assert set(await asyncio.gather(*map(first.secret_of, kids))) == {None}
            looks.add(first._looked_at)
        assert len(looks) == 3
        assert time.monotonic() - started >= 3 * UNKNOWN_PAUSE_SECONDS - 0.05

    with_keyrings(backend.new_database(), scenario)


def test_new_key_is_known_at_once_however_many_made_up_ones_are_tried(backend: Backend):
    async def scenario(first: Keyring, second: Keyring) -> None:
        await second.signing_key()

        async def try_made_up_keys() -> None:
            while True:
                await second.secret_of("made-up")

        strangers = [asyncio.create_task(try_made_up_keys()) for _ in range(20)]
        for _ in range(3):
            await first.rotate()
            kid, secret = await first.signing_key()
            assert await second.secret_of(kid) == secret
        for stranger in strangers:
            stranger.cancel()

    with_keyrings(backend.new_database(), scenario)


def test_process_whose_database_is_away_says_so_to_all_who_wait_and_recovers(backend: Backend):
    async def scenario(first: Keyring, _: Keyring) -> None:
        key = await first.signing_key()
        real, first._database = first._database, Database("sqlite:////nowhere/at/all.db", pool_size=1)
        answers = await asyncio.gather(*(first.secret_of("new") for _ in range(5)), return_exceptions=True)
        assert [str(getattr(answer, "code", answer)) for answer in answers] == ["database-unavailable"] * 5
        await first._database.close()
        first._database = real
        assert await first.secret_of("new") is None
        assert await first.signing_key() == key

    with_keyrings(backend.new_database(), scenario)


def test_rotation_keeps_keys_whose_tokens_may_live_and_drops_older_ones(clean_backend: Backend):
    async def scenario(first: Keyring, _: Keyring) -> None:
        await first.rotate()
        kids = {row.kid for row in clean_backend.rows(TokenKey)}
        assert not {"oldest", "older"} & kids
        assert {"old", "young"} <= kids

    with clean_backend.database.transaction() as session:
        for kid, minutes in (("oldest", 90), ("older", 60), ("old", 30), ("young", 10)):
            at = utc_now() - timedelta(minutes=minutes)
            session.add(TokenKey(kid=kid, secret=b"s" * 32, created_at=at))
    with_keyrings(clean_backend.settings().effective_database_url, scenario)


def test_revoking_the_old_keys_ends_their_tokens_and_no_login(clean_backend: Backend):
    url = clean_backend.new_database()

    async def scenario(first: Keyring, _: Keyring) -> None:
        await first.rotate(revoke_old=True)

    with ApiServer(clean_backend.settings, database_url=url) as server:
        login = log_in(server, make_account(server))
        with_keyrings(url, scenario)
        server.app.state.identity._keyring._read_at -= 60  # a minute passes
        assert status_of(server, login.headers) == 401
        answer = server.client.post("/v1/auth/refresh", json={"refresh_token": login.refresh_token})
        assert status_of(server, login_of(answer).headers) == 200
