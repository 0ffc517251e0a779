"""Whether anybody works, on what, and behind which walls, as `/readyz` asks. API room."""

from sqlalchemy.orm import Session

from media_service.broker.messages import Lane
from media_service.database import Database
from media_service.jobs.presence import lanes_of_living, missing_layers_of_living


class LivingWorkers:
    """One query over a handful of rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missing_layers(self) -> list[str] | None:
        """Walls that the sandbox of at least one living worker lacks, sorted; None if none takes uploads.

        Raises MediaServiceError (unavailable).
        """

        def look(session: Session) -> tuple[list[list[str]], frozenset[Lane]]:
            return list(session.scalars(missing_layers_of_living())), _lanes(session)

        lists, lanes = await self._database.run_read(look)
        return sorted({name for names in lists for name in names}) if Lane.UPLOADS in lanes else None

    async def lanes(self) -> frozenset[Lane]:
        """The lanes that somebody works on. Raises MediaServiceError (unavailable)."""
        return await self._database.run_read(_lanes)


def _lanes(session: Session) -> frozenset[Lane]:
    lists = list(session.scalars(lanes_of_living()))
    return frozenset(lane for names in lists for lane in Lane if not names or lane.value in names)
