"""Entries of the cache: each is found in its place alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from media_service.auth.scopes import Account, Caller
from media_service.files.cache import MAX_ENTRY_BYTES, AnswerCache, Entry, Place, cache_client, place_of
from media_service.models import new_id
from tests.support.valkey import ValkeyServer

ENTRY = Entry(b'{"items": []}\n{"more": "lines"}', '"1"', "a-cursor")
CALLER = Caller(new_id(), frozenset({"files:read"}), new_id(), Account(files_revision=7))


def place(caller: Caller = CALLER, *question: str | int | None, kind: str = "page") -> Place:
    return place_of(caller, kind, question or ("a", None, 50), namespace="1.0 https://media.example.org")


def at_revision(revision: int) -> Place:
    return place(replace(CALLER, account=Account(files_revision=revision)))


def with_cache(valkey: ValkeyServer, scenario: Callable[[AnswerCache], Awaitable[None]]) -> None:
    async def run() -> None:
        redis = cache_client(valkey.url)
        try:
            async for key in redis.scan_iter(f"media-cache:*:{CALLER.owner_id.hex}:*"):
                await redis.delete(key)
            await scenario(AnswerCache(redis, ttl=timedelta(minutes=1)))
        finally:
            await redis.aclose()

    asyncio.run(run())


def test_entry_is_found_as_it_was_put(valkey: ValkeyServer):
    async def scenario(cache: AnswerCache) -> None:
        for entry in (ENTRY, replace(ENTRY, next_cursor=None), replace(ENTRY, body=b"", etag='W/"é"')):
            await cache.put(place(), entry)
            assert await cache.get(place()) == entry

    with_cache(valkey, scenario)


OTHERS = {
    "owner": place(replace(CALLER, owner_id=new_id())),
    "older revision": at_revision(6),
    "newer revision": at_revision(8),
    "question": place(CALLER, "b", None, 50),
    "kind of value": place(CALLER, "a", "None", 50),
    "number": place(CALLER, "a", None, 51),
    "kind": place(kind="file"),
    "service": place_of(CALLER, "page", ("a", None, 50), namespace="1.1 https://media.example.org"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_entry_of_another_place_is_not_found_even_under_the_same_key(valkey: ValkeyServer, other: Place):
    async def scenario(cache: AnswerCache) -> None:
        await cache.put(other, ENTRY)
        assert await cache.get(place()) is None
        # As if two questions met in one slot, or the client mixed up two answers of Redis.
        await cache.put(replace(other, key=place().key), ENTRY)
        assert await cache.get(place()) is None

    with_cache(valkey, scenario)


def test_late_entry_of_an_older_revision_hides_a_newer_one_and_is_not_served(valkey: ValkeyServer):
    async def scenario(cache: AnswerCache) -> None:
        assert at_revision(7).key == at_revision(8).key
        await cache.put(at_revision(8), ENTRY)
        await cache.put(at_revision(7), replace(ENTRY, body=b"old"))  # its writer was paused
        assert await cache.get(at_revision(8)) is None

    with_cache(valkey, scenario)


def test_tag_of_a_place_tells_all_places_apart(valkey: ValkeyServer):
    tags = {other.etag for other in (place(), *OTHERS.values())}
    assert len(tags) == len(OTHERS) + 1
    assert all(tag.startswith('W/"') for tag in tags)


def test_entry_that_is_too_large_is_not_kept(valkey: ValkeyServer):
    async def scenario(cache: AnswerCache) -> None:
        question = place(CALLER, "large")
        await cache.put(question, replace(ENTRY, body=b"x" * MAX_ENTRY_BYTES))
        assert await cache.get(question) is None
        await cache.put(question, replace(ENTRY, body=b"x" * (MAX_ENTRY_BYTES - 100)))
        assert await cache.get(question) is not None

    with_cache(valkey, scenario)


def test_more_questions_at_once_than_connections_are_no_outage(valkey: ValkeyServer):
    async def scenario(cache: AnswerCache) -> None:
        await cache.put(place(), ENTRY)
        answers = await asyncio.gather(*(cache.get(place()) for _ in range(200)))
        assert set(answers) <= {ENTRY, None}
        assert ENTRY in answers
        assert not cache._is_away
        assert await cache.get(place()) == ENTRY

    with_cache(valkey, scenario)


def test_requests_that_are_cut_leave_no_answer_for_the_next_one(valkey: ValkeyServer):
    async def scenario(cache: AnswerCache) -> None:
        places = [place(CALLER, number) for number in range(20)]
        for number, each in enumerate(places):
            await cache.put(each, replace(ENTRY, body=str(number).encode()))
        for _ in range(20):
            cut = [asyncio.create_task(cache.get(each)) for each in places]
            await asyncio.sleep(0.0005)
            for task in cut[::2]:
                task.cancel()
            await asyncio.gather(*cut, return_exceptions=True)
            for number, each in enumerate(places):
                found = await cache.get(each)
                assert found is None or found.body == str(number).encode()

    with_cache(valkey, scenario)


class ClosedRedis(Redis):
    """A client whose connection was closed by the other side in the moment before it writes, under uvloop."""

    async def execute_command(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


def test_connection_that_was_closed_under_uvloop_is_an_outage():
    async def use() -> None:
        cache = AnswerCache(ClosedRedis(), ttl=timedelta(minutes=1))
        assert await cache.get(place()) is None
        await cache.put(place(), ENTRY)

    asyncio.run(use())
