"""Settings of how patient the service is with clients, and whom of them it believes what. Core room."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from media_service.durations import Duration, DurationOrNone
from media_service.web.forwarded import Network, parse_network
from media_service.web.origins import check_origins


class HttpSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Connections at once per API process; the next is answered with 503. Also bounded by the process's limit
    of open files, less what storage and database need. Each costs about 10 KiB while it is idle."""
    header_timeout: Duration = timedelta(seconds=10)
    """From the first byte of a request to the end of its head. Shorter cuts off bad networks, longer lets
    clients that never finish a head hold more connections."""
    body_idle_timeout: Duration = timedelta(seconds=30)
    """How long a client may send nothing in the middle of a body. Longer keeps dead uploads; a phone that
    changes networks is silent for some seconds."""
    body_min_rate: Annotated[int, Field(ge=0, le=1_000_000)] = 500
    """Bytes per second that a body must bring on average, once it took longer than the idle timeout; 0: any.
    A client that drips a byte at a time would hold a connection for ever. Half of what a slow link gives."""
    shutdown_grace: Duration = timedelta(seconds=25)
    """How long running requests may take to end after SIGTERM; then they are cut and cleaned up."""
    shutdown_delay: DurationOrNone = timedelta(0)
    """How long `/readyz` says no before the service stops to take connections: what a load balancer needs to
    notice. It counts before the grace."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may use the API in a browser, comma-separated as browsers send them
    (`https://app.example.org`), or `*` for all. None: no CORS header is sent, so only pages of the service's
    own origin can. Exact origins may also send cookies; with `*` a page needs a key of its own."""
    trusted_proxies: Annotated[tuple[Annotated[Network, BeforeValidator(parse_network)], ...], NoDecode] = ()
    """Addresses or networks of proxies, comma-separated, that are believed who the client is (`Forwarded`,
    `X-Forwarded-For`). None: the client is who connects. One too many lets clients write what they like into
    the log; one too few shows the proxy in place of its clients."""
    accel_redirect_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-]+)+/$")] | None = None
    """The internal location under which nginx in front serves the folder `storage/objects` of the data
    directory (`/_media/`): it then sends originals by itself (X-Accel-Redirect). Only with local storage, and
    only where no client reaches the service but through that nginx: it would get answers without bytes."""

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split_edges(cls, value: Any) -> Any:  # a name of its own: all sections become one class
        return (
            tuple(item.strip() for item in value.split(",") if item.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_origins(value)
