"""A real nginx with the files of infra/nginx, in front of a service that the tests have started."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from media_service.supervisor.process import die_with_parent
from tests.support.ports import free_port, wait_for_port
from tests.support.service import PROJECT_ROOT

INSTALLED = "/etc/nginx/media"
"""Where the files say that they lie."""

MAIN = """{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=media_cache:1m use_temp_path=off;
    upstream media_api {{
        zone media_api 64k;
        server 127.0.0.1:{upstream};
        keepalive 8;
        keepalive_timeout 60s;
    }}
    include {installed}/http.conf;
    server {{
        listen 127.0.0.1:{port};
        access_log {folder}/access.log media;
        set $media_objects {objects};
        include {installed}/server.conf;
    }}
}}
"""


def program() -> str:
    """Debian puts it where only root's PATH looks. Raises RuntimeError."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise RuntimeError("nginx is not installed")
    return found


def version() -> tuple[int, ...]:
    told = subprocess.run([program(), "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(number) for number in re.findall(r"\d+", told.split("nginx/")[1])[:3])


def install(folder: Path) -> Path:
    """A copy of infra/nginx whose files find each other in `folder`; returns where they are."""
    target = folder / "media"
    target.mkdir()
    for source in (PROJECT_ROOT / "infra" / "nginx").glob("*.conf"):
        (target / source.name).write_text(source.read_text().replace(INSTALLED, str(target)))
    return target


def check(config: Path) -> str:
    """What `nginx -t` says of a configuration; raises CalledProcessError if it is wrong."""
    argv = [program(), "-t", "-q", "-c", str(config), "-p", str(config.parent)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stderr


class NginxServer:
    """Stands before the service on `upstream_port` for as long as its block lasts."""

    def __init__(self, *, port: int, upstream_port: int, objects: Path) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self._temporary = tempfile.TemporaryDirectory(prefix="media-test-nginx-")
        self.folder = Path(self._temporary.name)
        self._process: subprocess.Popen[bytes] | None = None
        installed = install(self.folder)
        # The files of the objects are their owner's alone.
        user = "user root;" if os.geteuid() == 0 else ""
        config = MAIN.format(
            user=user,
            folder=self.folder,
            upstream=upstream_port,
            installed=installed,
            port=port,
            objects=objects,
        )
        (self.folder / "nginx.conf").write_text(config)
        self.client = httpx2.Client(base_url=self.base_url, timeout=30)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [program(), "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder), "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - only a prctl
        )
        try:
            wait_for_port(self.port, self._process)
        except BaseException:
            print(self.error_log, file=sys.stderr)
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.error_log, file=sys.stderr)
        self._close()

    @property
    def error_log(self) -> str:
        return (self.folder / "error.log").read_text(errors="replace")

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text(errors="replace")

    def _close(self) -> None:
        self.client.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        self._temporary.cleanup()


def two_free_ports() -> tuple[int, int]:
    """The proxy's and the service's: each must know the other's before it starts."""
    return free_port(), free_port()
