"""Settings of imports by URL. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from media_service.durations import Duration

Port = Annotated[int, Field(ge=1, le=65535)]


class ImportSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    import_enabled: bool = False
    """Whether users may name URLs that a worker fetches. Off, since it lets them send requests from where the
    workers are: only to public addresses, but with the workers' own address as the sender."""
    import_ports: Annotated[tuple[Port, ...], NoDecode, Field(min_length=1)] = (80, 443)
    """Ports of other servers, comma-separated. More of them make the workers a better port scanner."""
    import_timeout: Duration = timedelta(minutes=15)
    """For one file, redirects included, however steadily its bytes come: it holds a worker's slot."""
    import_idle_timeout: Duration = timedelta(seconds=20)
    """To connect, and between two bytes. Shorter gives up on slow servers, longer waits for dead ones."""

    @field_validator("import_ports", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(item.strip() for item in value.split(",")) if isinstance(value, str) else value
