"""Whether anybody works, and behind which walls, as `/readyz` asks. API room."""

from media_service.database import Database
from media_service.jobs.presence import missing_layers_of_living


class LivingWorkers:
    """One query over a handful of rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missing_layers(self) -> list[str] | None:
        """Walls that the sandbox of at least one living worker lacks, sorted; None if no worker lives.

        Raises MediaServiceError (unavailable).
        """
        lists = await self._database.run_read(
            lambda session: list(session.scalars(missing_layers_of_living()))
        )
        return sorted({name for names in lists for name in names}) if lists else None
