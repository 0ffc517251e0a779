"""The arithmetic of limits, and the limiter over counts that are shared, or away."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.rate_limits.classes import RateClass
from media_service.rate_limits.config import RateLimitSettings, parse_limit
from media_service.rate_limits.counts import MAX_KEYS, CountsUnavailableError, LocalCounts
from media_service.rate_limits.fields import Standing, rate_limit_fields
from media_service.rate_limits.limiter import RateLimiter
from media_service.rate_limits.redis_counts import RedisCounts
from media_service.rate_limits.subjects import address_subject, credential_subject, pair_subject
from media_service.rate_limits.window import Limit, Window
from tests.support.arena import stopped
from tests.support.logs import lines_of, written_log
from tests.support.tcp_proxy import TcpProxy
from tests.support.valkey import ValkeyServer

pytestmark = pytest.mark.anyio

ANNA, BEN = credential_subject(UUID(int=1)), credential_subject(UUID(int=2))
STRANGER = address_subject("192.0.2.7")
START = 1_700_000_040.0
"""The beginning of a minute."""


class Clock:
    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingCounts(LocalCounts):
    """Local counts that say how often they were asked, and that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.is_away = False

    async def add(self, key: str, amount: int, *, lifetime_seconds: int) -> int:
        self.questions += 1
        if self.is_away:
            raise CountsUnavailableError
        return await super().add(key, amount, lifetime_seconds=lifetime_seconds)


def limiter(amount: int, *, clock: Clock, counts: LocalCounts | RedisCounts | None = None) -> RateLimiter:
    limits: dict[RateClass, Limit | None] = {
        RateClass.READ: Limit(amount, 60),
        RateClass.LOGIN: Limit(amount, 60),
    }
    return RateLimiter(counts or LocalCounts(), limits, clock)


async def passes(
    limiter: RateLimiter, subject: object = ANNA, rate_class: RateClass = RateClass.READ
) -> bool:
    try:
        await limiter.charge(rate_class, subject)  # type: ignore[arg-type]
    except MediaServiceError:
        return False
    return True


async def test_so_many_requests_pass_in_a_window_and_the_next_is_refused_with_the_time_to_wait():
    clock = Clock()
    limit = limiter(5, clock=clock)
    standings = [await limit.charge(RateClass.READ, ANNA) for _ in range(5)]
    assert [standing and standing.remaining for standing in standings] == [4, 3, 2, 1, 0]
    with pytest.raises(MediaServiceError) as refusal:
        await limit.charge(RateClass.READ, ANNA)
    assert refusal.value.kind is ErrorKind.RATE_LIMITED
    # All five count at the next window's beginning, and one is forgotten after a fifth of it.
    assert refusal.value.members == {
        "policy": "read", "limit": 5, "window_seconds": 60, "retry_after_seconds": 72,
    }  # fmt: skip


async def test_who_waits_as_long_as_was_asked_is_let_in_and_who_does_not_is_not():
    clock = Clock()
    limit = limiter(5, clock=clock)
    for _ in range(5):
        await limit.charge(RateClass.READ, ANNA)
    clock.now += 10
    assert not await passes(limit)
    clock.now = START + 71.9
    assert not await passes(limit)
    clock.now = START + 72
    assert await passes(limit)
    assert not await passes(limit)


async def test_no_more_than_the_limit_passes_around_the_edge_of_a_window():
    clock = Clock(START + 59)
    limit = limiter(10, clock=clock)
    passed = [await passes(limit) for _ in range(10)]
    clock.now = START + 61
    passed += [await passes(limit) for _ in range(10)]
    assert sum(passed) == 10


async def test_hammering_keeps_nobody_out_for_longer():
    clock = Clock()
    limits = [limiter(5, clock=clock) for _ in range(2)]
    for tries, limit in zip((5, 500), limits, strict=True):
        for _ in range(tries):
            await passes(limit)
            limit._tallies.clear()  # as if each came to another process
    clock.now = START + 72
    assert [await passes(limit) for limit in limits] == [True, True]


async def test_clock_that_is_set_back_closes_nobody_out_for_as_long():
    clock = Clock()
    limit = limiter(1, clock=clock)
    assert [await passes(limit), await passes(limit)] == [True, False]
    clock.now -= 3600
    assert await passes(limit)


async def test_log_tells_once_in_a_window_that_somebody_reached_a_limit():
    clock = Clock()
    limit = limiter(50, clock=clock)
    with capture_logs() as said:
        for _ in range(1000):
            await passes(limit)
            clock.now += 0.1
    assert [line["event"] for line in said] == ["rate_limits.closed"] * 2


@given(
    amount=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 30)), max_size=20),
)
def test_whatever_comes_the_estimate_of_a_window_is_never_above_the_limit(
    amount: int, steps: list[tuple[float, int]]
):
    async def run() -> None:
        clock = Clock()
        limit = limiter(amount, clock=clock)
        passed: Counter[int] = Counter()
        for pause, requests in steps:
            clock.now += pause
            for _ in range(requests):
                if await passes(limit):
                    window = Window.at(Limit(amount, 60), clock.now)
                    passed[window.index] += 1
                    assert window.used(passed[window.index - 1], passed[window.index]) <= amount + 0.001

    asyncio.run(run())


async def test_clients_do_not_count_for_each_other_nor_classes():
    limit = limiter(1, clock=Clock())
    assert await passes(limit, ANNA)
    assert await passes(limit, BEN)
    assert await passes(limit, STRANGER)
    assert await passes(limit, ANNA, RateClass.LOGIN)
    assert not await passes(limit, ANNA)


async def test_class_without_a_limit_counts_nothing():
    counts = CountingCounts()
    limit = RateLimiter(counts, RateLimitSettings().limits())
    for _ in range(1000):
        assert await limit.charge(RateClass.EXEMPT, ANNA) is None
    assert counts.questions == 0


async def test_busy_client_is_counted_in_few_questions_and_no_request_is_forgotten():
    clock, counts = Clock(), CountingCounts()
    limit = limiter(1000, clock=clock, counts=counts)
    passed = 0
    for _ in range(1100):
        clock.now += 0.001
        passed += await passes(limit)
    # One in eleven while there is room, and each one in the second half of the limit.
    assert 500 < counts.questions < 560
    assert passed == 1000


async def test_processes_that_share_counts_share_the_limit_but_for_a_hundredth_each():
    clock, counts = Clock(), LocalCounts()
    processes = [limiter(1000, clock=clock, counts=counts) for _ in range(5)]
    passed = 0
    for number in range(2000):
        clock.now += 0.001
        passed += await passes(processes[number % 5])
    assert 1000 - 50 <= passed <= 1000 + 50


async def test_small_limits_are_exact_over_processes():
    clock, counts = Clock(), LocalCounts()
    processes = [limiter(99, clock=clock, counts=counts) for _ in range(3)]
    assert sum([await passes(processes[number % 3]) for number in range(300)]) == 99


async def test_without_counts_known_clients_pass_and_strangers_are_counted_here():
    counts = CountingCounts()
    counts.is_away = True
    limit = limiter(3, clock=Clock(), counts=counts)
    assert [await limit.charge(RateClass.READ, ANNA) for _ in range(10)] == [None] * 10
    assert [await passes(limit, STRANGER, RateClass.LOGIN) for _ in range(5)] == [True] * 3 + [False] * 2


async def test_local_counts_forget_what_is_over_and_the_oldest_when_they_are_full():
    clock = Clock()
    counts = LocalCounts(clock)
    assert [await counts.add("a", 2, lifetime_seconds=10) for _ in range(2)] == [2, 4]
    clock.now += 10
    assert await counts.get("a") == 0
    for number in range(MAX_KEYS + 1):
        await counts.add(str(number), 1, lifetime_seconds=10)
    assert [await counts.get("0"), await counts.get("1")] == [0, 1]


@pytest.mark.parametrize(
    ("one", "other", "subjects"),
    [
        ("192.0.2.1", "192.0.2.1", 1),
        ("192.0.2.1", "192.0.2.2", 2),
        ("2001:db8::1", "2001:db8::ffff:1", 1),
        ("2001:db8::1", "2001:db8:0:1::1", 2),
        ("::ffff:192.0.2.1", "192.0.2.1", 1),
        (None, "not an address", 1),
    ],
)
async def test_address_counts_by_itself_and_an_ipv6_address_by_its_network(
    one: str | None, other: str | None, subjects: int
):
    assert len({address_subject(one), address_subject(other)}) == subjects


async def test_subject_tells_nothing_of_whom_it_is():
    assert "192" not in STRANGER.digest
    assert len({ANNA.digest, BEN.digest, STRANGER.digest, pair_subject(ANNA, BEN).digest}) == 4


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("600/minute", Limit(600, 60)),
        ("5 per 10 seconds", Limit(5, 10)),
        ("1/hour", Limit(1, 3600)),
        ("off", None),
        (" OFF ", None),
    ],
)
async def test_limit_is_written_as_a_number_in_a_time(text: str, limit: Limit | None):
    assert RateLimitSettings.model_validate({"rate_limit_read": text}).rate_limit_read == limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0/minute",
        "1/0 seconds",
        "5 per 00 minutes",
        "-1/minute",
        "x",
        "5/fortnight",
        "1/second;9/minute",
        "5",
    ],
)
async def test_limit_that_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="must be one limit such as"):
        parse_limit(text)


async def test_each_class_has_a_setting_and_one_switch_turns_all_off():
    assert set(RateLimitSettings().limits()) == set(RateClass) - {RateClass.EXEMPT}
    assert RateLimitSettings(rate_limits=False).limits() == {}


async def test_fields_name_every_policy():
    standings = [Standing("a", Limit(5, 60), 4, 10), Standing("b", Limit(7, 1), 0, 1)]
    assert rate_limit_fields(standings) == {
        "RateLimit": '"a";r=4;t=10, "b";r=0;t=1',
        "RateLimit-Policy": '"a";q=5;w=60, "b";q=7;w=1',
    }
    assert rate_limit_fields([]) == {}


async def test_two_processes_share_one_count_in_redis(valkey: ValkeyServer):
    one, other = (RedisCounts(valkey.url, patience=timedelta(seconds=10)) for _ in range(2))
    processes = [limiter(10, clock=Clock(), counts=counts) for counts in (one, other)]
    subject = credential_subject(UUID(int=3))
    assert sum([await passes(processes[number % 2], subject) for number in range(30)]) == 10
    await one.close()
    await other.close()


async def test_keys_in_redis_end_by_themselves_and_hold_no_address(valkey: ValkeyServer):
    counts = RedisCounts(valkey.url, patience=timedelta(seconds=10))
    subject = address_subject("198.51.100.77")
    await limiter(10, clock=Clock(), counts=counts).charge(RateClass.READ, subject)
    redis = counts._storage.bridge.get_connection()  # type: ignore[attr-defined]
    keys = [key.decode() for key in await redis.keys(f"media-rate:*{subject.digest}*")]
    assert len(keys) == 1
    assert "198.51" not in keys[0]
    assert 0 < await redis.ttl(keys[0]) <= 120
    await counts.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_redis_that_closes_a_connection_in_use_is_away_and_then_back(run: Callable[..., None]):
    async def use(proxy: TcpProxy) -> None:
        url, instant = f"redis://127.0.0.1:{proxy.port}/0", timedelta(microseconds=1)
        counts = RedisCounts(url, patience=timedelta(seconds=5), pause=instant)
        assert await counts.add("a", 1, lifetime_seconds=9) == 1
        proxy.go_down()
        for _ in range(4):
            with pytest.raises(CountsUnavailableError):
                await counts.add("a", 1, lifetime_seconds=9)
        proxy.heal()
        assert await counts.add("a", 1, lifetime_seconds=9) == 2
        await counts.close()

    with ValkeyServer(tcp=True) as server, TcpProxy(server.port) as proxy:
        run(use(proxy))


async def test_redis_that_hangs_costs_one_wait_in_a_pause():
    with ValkeyServer() as server:
        counts = RedisCounts(server.url, patience=timedelta(seconds=0.25), pause=timedelta(seconds=60))
        with stopped(server.pid):
            started = time.monotonic()
            for _ in range(100):
                with pytest.raises(CountsUnavailableError):
                    await counts.get("a")
            assert 0.25 <= time.monotonic() - started < 1
        await counts.close()


async def test_redis_that_is_away_is_asked_rarely_and_the_log_says_so_once():
    with written_log() as log, ValkeyServer() as server:
        from media_service.observability import configure_logging

        configure_logging(role="api", log_format="json", level="info")
        counts = RedisCounts(server.url, patience=timedelta(seconds=5), pause=timedelta(seconds=0.2))
        assert await counts.add("a", 1, lifetime_seconds=9) == 1
        server.kill()
        for _ in range(3):
            for _ in range(20):
                with pytest.raises(CountsUnavailableError):
                    await counts.add("a", 1, lifetime_seconds=9)
            await asyncio.sleep(0.25)
        server.start()
        await asyncio.sleep(0.25)
        assert await counts.add("a", 1, lifetime_seconds=9) == 1
        await counts.close()
        events = [line["event"] for line in lines_of(log)]
    assert events == ["rate_limits.redis_away", "rate_limits.redis_back"]
