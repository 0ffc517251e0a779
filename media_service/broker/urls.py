"""One Redis address, spelled as each library wants it. Core room: strings and paths only.

redis-py says `unix:///path?db=0` where Celery says `redis+socket:///path?virtual_host=0`; over TCP both
take the database from the path. Whatever spelling comes in, each library gets its own.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

MAX_SOCKET_PATH_BYTES = 103
"""`sun_path` holds 104 bytes on macOS and 108 on Linux, a closing zero included; longer cannot be bound."""

_TCP_SCHEMES = ("redis", "rediss")
_SOCKET_SCHEMES = ("unix", "redis+socket")


@dataclass(frozen=True)
class RedisAddress:
    """Where a Redis is; `from_url` reads every spelling, the properties write them."""

    scheme: str
    """`redis`, `rediss` or `unix`."""
    netloc: str
    """User, password, host and port, percent-encoded as they came; with `unix` at most user and password."""
    path: str
    """The socket's path, percent-encoded as it came; empty over TCP."""
    database: int
    options: tuple[tuple[str, str], ...]

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read redis://, rediss://, unix:// or redis+socket://. Raises ValueError with a line for people."""
        parts = urlsplit(url)
        if parts.scheme not in _TCP_SCHEMES + _SOCKET_SCHEMES:
            raise ValueError("a Redis URL starts with redis://, rediss:// or unix://")
        options = dict(parse_qsl(parts.query))
        named_databases = [options.pop(name, None) for name in ("db", "virtual_host")]
        database = next((name for name in named_databases if name is not None), None)
        if parts.scheme in _SOCKET_SCHEMES:
            scheme, netloc, path = "unix", _socket_credentials(parts), parts.path
        else:
            scheme, netloc, path = parts.scheme, _host(parts), ""
            database = parts.path.strip("/") if database is None else database
        return cls(scheme, netloc, path, _to_database(database or "0"), tuple(sorted(options.items())))

    @property
    def redis_py(self) -> str:
        """The spelling of `redis.from_url` and `redis.asyncio.from_url`."""
        options = dict(self.options)
        if "ssl_cert_reqs" in options:
            options["ssl_cert_reqs"] = options["ssl_cert_reqs"].removeprefix("CERT_").lower()
        if self.scheme == "unix":
            return self._spell("unix", self.path, {"db": str(self.database)} | options)
        return self._spell(self.scheme, f"/{self.database}", options)

    @property
    def celery(self) -> str:
        """The spelling of Celery's `broker_url` and `result_backend`."""
        options = dict(self.options)
        if self.scheme == "unix":
            return self._spell("redis+socket", self.path, {"virtual_host": str(self.database)} | options)
        if self.scheme == "rediss":
            # Celery refuses a rediss:// result backend without it; redis-py's own default is the same.
            options.setdefault("ssl_cert_reqs", "required")
        return self._spell(self.scheme, f"/{self.database}", options)

    def _spell(self, scheme: str, path: str, options: dict[str, str]) -> str:
        query = urlencode(options, quote_via=quote)
        return f"{scheme}://{self.netloc}{path}" + (f"?{query}" if query else "")


def redis_url(url: str) -> str:
    """A Redis address as redis-py spells it. Raises ValueError with a line for people."""
    return RedisAddress.from_url(url).redis_py


def celery_url(url: str) -> str:
    """A broker's address as Celery spells it; RabbitMQ, SQS and others pass through. Raises ValueError."""
    if urlsplit(url).scheme in _TCP_SCHEMES + _SOCKET_SCHEMES:
        return RedisAddress.from_url(url).celery
    return url


def embedded_socket_path(data_dir: Path, temp_dir: Path) -> Path:
    """Where the embedded Redis of a data folder listens: inside it, or where that path would be too long.

    The short path is made from the folder's own name for itself, so every process finds the same one. Its
    folder is shared ground: create it with mode 0700 and refuse one that somebody else owns.
    """
    resolved = data_dir.resolve()
    inside = resolved / "redis" / "redis.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
        return inside
    digest = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    short = Path(f"media-{os.geteuid()}-{digest}", "redis.sock")
    if len(os.fsencode(temp_dir / short)) <= MAX_SOCKET_PATH_BYTES:
        return temp_dir / short
    return "/tmp" / short  # noqa: S108 - TMPDIR itself is too long; the folder is checked to be ours


def socket_url(path: Path) -> str:
    """The address of a unix socket, as MEDIA_REDIS_URL spells it."""
    return f"unix://{quote(os.fsencode(path))}?db=0"


def _socket_credentials(parts: SplitResult) -> str:
    if not parts.path.strip("/") or parts.hostname:
        raise ValueError("a Redis socket URL needs an absolute path: unix:///path/to/redis.sock")
    return parts.netloc


def _host(parts: SplitResult) -> str:
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError("the Redis URL's port is no number from 0 to 65535") from error
    if not parts.hostname:
        raise ValueError("the Redis URL names no host")
    return parts.netloc


def _to_database(name: str) -> int:
    if not (name.isascii() and name.isdigit()):
        raise ValueError(f"the Redis URL's database is no number: {name!r}")
    return int(name)
