"""All settings of the service, from the environment and `.env`. Only composition roots import this.

Each domain owns a section; `Settings` joins them under flat names with the prefix `MEDIA_`. Everyone below
a composition root is given the values, or a section, that concern them.
"""

import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from media_service import faultpoints
from media_service.auth.config import AuthSettings
from media_service.aws.config import S3Settings
from media_service.broker.embedded import embedded_socket
from media_service.broker.urls import RedisAddress, socket_url
from media_service.direct.config import DirectSettings
from media_service.durations import Duration
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files.config import CacheSettings
from media_service.idempotency.config import IdempotencySettings
from media_service.imports.config import ImportSettings
from media_service.jobs.config import JobSettings
from media_service.rate_limits.config import RateLimitSettings
from media_service.storage.config import StorageSettings
from media_service.transforms.config import PresetSettings
from media_service.uploads.config import UploadSettings
from media_service.uploads.resumable.config import ResumableSettings
from media_service.web.config import HttpSettings

AnySettings = TypeVar("AnySettings", bound="Settings")

PREFIX = "MEDIA_"
ENV_FILE = Path(".env")


_BROKER_SCHEMES = ("redis://", "rediss://", "unix://", "redis+socket://", "amqp://", "amqps://", "sqs://")


class ServerSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` lets other machines in."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    public_url: AnyHttpUrl | None = None
    """How clients reach the service; links are built from it. Default: host and port."""
    data_dir: Path = Path("data")
    """Embedded database, local objects, the bundled Redis, process files."""
    database_url: str | None = None
    """`postgresql://...` or `sqlite:///...`. Default: SQLite in the data directory."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    """Connections per process. The sum over all processes must stay under the server's limit."""
    redis_url: str | None = None
    """`redis://`, `rediss://` or `unix://`. Default: a bundled server in the data directory."""
    broker_url: str | None = None
    """Celery's broker. Default: the Redis URL."""
    restart_max_pause: Duration = timedelta(seconds=10)
    """Of the one-command service, before a process that died again and again is started once more. Shorter is
    back sooner after an outage; longer costs less while a process cannot live."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto` writes text to a terminal and JSON to anything else."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _database_url_is_usable(self) -> "ServerSettings":
        if self.database_url is not None:
            try:
                backend = make_url(self.database_url).get_backend_name()
            except ArgumentError:
                backend = ""
            if backend not in {"postgresql", "postgres", "sqlite"}:
                raise ValueError("database_url must begin with postgresql:// or sqlite:///")
        return self

    @field_validator("redis_url")
    @classmethod
    def _redis_url_is_usable(cls, value: str | None) -> str | None:
        if value is not None:
            RedisAddress.from_url(value)
        return value

    @field_validator("broker_url")
    @classmethod
    def _broker_url_is_usable(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_BROKER_SCHEMES):
            raise ValueError(f"must begin with one of {', '.join(_BROKER_SCHEMES)}")
        return value


class Settings(
    ServerSettings,
    HttpSettings,
    AuthSettings,
    RateLimitSettings,
    StorageSettings,
    S3Settings,
    UploadSettings,
    ResumableSettings,
    DirectSettings,
    ImportSettings,
    IdempotencySettings,
    CacheSettings,
    JobSettings,
    PresetSettings,
    BaseSettings,
):
    """Every setting that both processes know."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
    )

    @model_validator(mode="after")
    def _s3_has_a_bucket(self) -> "Settings":
        if self.storage == "s3" and not self.s3_bucket:
            raise ValueError("MEDIA_STORAGE=s3 needs MEDIA_S3_BUCKET")
        return self

    @property
    def base_url(self) -> str:
        """Where public links begin, without a slash at the end."""
        if self.public_url is not None:
            return str(self.public_url).rstrip("/")
        host = "localhost" if self.host in {"0.0.0.0", "127.0.0.1", "::", "::1"} else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def spill_dir(self) -> Path:
        """Where parts of uploads grow that find no room in memory."""
        return self.data_dir / "spill"

    @property
    def effective_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'media.db'}"

    @property
    def effective_redis_url(self) -> str:
        return self.redis_url or socket_url(embedded_socket(self.data_dir))

    @property
    def effective_broker_url(self) -> str:
        return self.broker_url or self.effective_redis_url


def load_settings() -> Settings:
    """Read the settings of the API. Raises MediaServiceError with one line that says what to change.

    Names of the workers' own settings pass: one `.env` serves both, and only they can judge theirs.
    """
    return load_section(Settings, foreign_prefix=f"{PREFIX}WORKER_")


def load_section(section: type[AnySettings], *, foreign_prefix: str | None = None) -> AnySettings:
    """Read the settings that a class declares; names that begin with `foreign_prefix` are not its own."""
    try:
        settings = section()
    except ValidationError as error:
        raise MediaServiceError(ErrorKind.INVALID, "bad-settings", _explain(error)) from None
    except SettingsError as error:
        # A value that should be JSON and is not. The message names the field, and not the value.
        raise MediaServiceError(
            ErrorKind.INVALID, "bad-settings", f"A setting cannot be read: {error}"
        ) from None
    known = {f"{PREFIX}{name.upper()}" for name in section.model_fields} | {faultpoints.VARIABLE}
    unknown = sorted(
        name
        for name in _given_names() - known
        if foreign_prefix is None or not name.startswith(foreign_prefix)
    )
    if unknown:
        raise MediaServiceError(
            ErrorKind.INVALID, "bad-settings", f"Unknown setting: {', '.join(unknown)}. Is it spelled right?"
        )
    return settings


def exposed_env_file() -> str | None:
    """The mode of `.env`, such as `0644`, if others than its owner may read or change it; else None."""
    if os.name != "posix" or not ENV_FILE.is_file():
        return None
    mode = stat.S_IMODE(ENV_FILE.stat().st_mode)
    return f"{mode:04o}" if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


def _given_names() -> set[str]:
    from_file = dotenv_values(ENV_FILE) if ENV_FILE.is_file() else {}
    return {name.upper() for name in (*os.environ, *from_file) if name.upper().startswith(PREFIX)}


def _explain(error: ValidationError) -> str:
    """One line: the first wrong setting by its environment name; the value is not shown, it may be secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    name = first["loc"][0] if first["loc"] else None
    more = "" if error.error_count() == 1 else f" (and {error.error_count() - 1} more)"
    return f"{PREFIX}{str(name).upper()}: {message}{more}" if name else f"{message}{more}"
