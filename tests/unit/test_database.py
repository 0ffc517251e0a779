"""The API's database on SQLite, which has one writer at a time."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from media_service.database import Database

POOL_SIZE = 2


def test_a_waiting_writer_of_sqlite_holds_no_connection(tmp_path: Path) -> None:
    async def scenario() -> int:
        database = Database(f"sqlite:///{tmp_path / 'a.db'}", pool_size=POOL_SIZE)

        async def write() -> None:
            async with database.transaction() as session:
                await session.execute(text("SELECT 1"))

        async with database.transaction() as session:
            await session.execute(text("SELECT 1"))
            waiting = [asyncio.create_task(write()) for _ in range(2 * POOL_SIZE)]
            await asyncio.sleep(0.05)
            # With the pool in the hands of those who wait, this would wait as well, until it is refused.
            async with asyncio.timeout(1), database.read() as reader:
                found = (await reader.execute(text("SELECT 42"))).scalar_one()
        await asyncio.gather(*waiting)
        await database.close()
        return int(found)

    assert asyncio.run(scenario()) == 42
