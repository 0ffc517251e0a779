"""Turns of an owner's transactions."""

import asyncio

from media_service.dialects import UNAVAILABLE_CODE
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import new_id
from media_service.quotas.turns import AT_ONCE, OwnerTurns


def test_few_of_one_owner_run_at_once_and_nobody_else_waits_for_them():
    async def scenario() -> tuple[int, int]:
        turns, owner, other = OwnerTurns(), new_id(), new_id()
        running = most = done = 0

        async def work() -> None:
            nonlocal running, most, done
            async with turns.of(owner):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1
                done += 1

        crowd = [asyncio.create_task(work()) for _ in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(0.5), turns.of(other):
            pass
        await asyncio.gather(*crowd)
        return most, done

    assert asyncio.run(scenario()) == (AT_ONCE, 50)


def test_outage_of_the_database_is_the_answer_for_all_who_wait_and_for_nobody_later():
    async def scenario() -> list[str]:
        turns, owner = OwnerTurns(), new_id()
        entered = 0

        async def work() -> None:
            nonlocal entered
            async with turns.of(owner):
                entered += 1
                await asyncio.sleep(0.05)
                raise MediaServiceError(ErrorKind.UNAVAILABLE, UNAVAILABLE_CODE, "away")

        errors = await asyncio.gather(*(work() for _ in range(20)), return_exceptions=True)
        assert entered == AT_ONCE
        async with turns.of(owner):
            pass
        return [getattr(error, "code", "none") for error in errors]

    assert asyncio.run(scenario()) == [UNAVAILABLE_CODE] * 20


def test_refusal_of_one_is_no_refusal_of_those_who_wait():
    async def scenario() -> int:
        turns, owner = OwnerTurns(), new_id()
        passed = 0

        async def work(number: int) -> None:
            nonlocal passed
            async with turns.of(owner):
                await asyncio.sleep(0)
                if number < AT_ONCE:
                    raise MediaServiceError(ErrorKind.QUOTA_EXCEEDED, "quota-exceeded", "no")
                passed += 1

        results = await asyncio.gather(*(work(number) for number in range(20)), return_exceptions=True)
        assert sum(isinstance(result, MediaServiceError) for result in results) == AT_ONCE
        return passed

    assert asyncio.run(scenario()) == 20 - AT_ONCE


def test_cancelled_waiter_leaves_its_place():
    async def scenario() -> None:
        turns, owner = OwnerTurns(), new_id()

        async def hold() -> None:
            async with turns.of(owner):
                await asyncio.sleep(10)

        tasks = [asyncio.create_task(hold()) for _ in range(AT_ONCE + 3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1), turns.of(owner):
            pass

    asyncio.run(scenario())
