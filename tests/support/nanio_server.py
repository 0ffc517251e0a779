"""A second S3 server for the tests: nanio, which checks every signature, in a process of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from media_service.supervisor.process import die_with_parent
from tests.support.moto_server import KEYS
from tests.support.ports import free_port, wait_for_port
from tests.support.s3_server import S3Server, create_bucket


@contextmanager
def nanio_server() -> Iterator[S3Server]:
    """Start a server on a free loopback port, with an empty bucket."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="media-test-nanio-") as folder:
        env = {"NANIO_ACCESS_KEY": KEYS["access_key"], "NANIO_SECRET_KEY": KEYS["secret_key"]}
        argv = [sys.executable, "-m", "nanio", "serve"]
        argv += ["--data-dir", folder, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        argv += ["--no-access-log"]
        process = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
        )
        try:
            wait_for_port(port, process)
            server = S3Server("nanio", f"http://127.0.0.1:{port}", **KEYS)
            create_bucket(server)
            yield server
        finally:
            process.kill()
            process.wait()
