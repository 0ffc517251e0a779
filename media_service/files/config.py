"""Settings of what is shown of files. Core room."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from media_service.durations import DurationOrNone


class CacheSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    cache_ttl: DurationOrNone = timedelta(minutes=1)
    """How long Redis keeps what was shown of an owner's files; 0: nothing is kept there. Answers are right
    whatever it is. Longer keeps more of what nobody asks for again, shorter makes the database work more."""
