"""A real S3 server over HTTP for the tests: moto in a process of its own.

Run as a program it is that process: it prints its port and ends when its standard input does, so that it
dies with the test run however that ends.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.s3_server import S3Server, create_bucket, environment

KEYS = {"access_key": "test-access-key", "secret_key": "test-secret-key"}
ENVIRONMENT = environment(**KEYS)
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Start a server on a free loopback port, with an empty bucket."""
    argv = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        argv, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            server = S3Server("moto", f"http://127.0.0.1:{int(process.stdout.readline())}", **KEYS)
            create_bucket(server)
            yield server
        finally:
            process.kill()


def _answer_unknown_uploads_as_s3_does() -> None:
    """moto 5.2 answers 500 (a KeyError) where S3 answers 404 NoSuchUpload."""
    from moto.s3.exceptions import NoSuchUpload
    from moto.s3.models import S3Backend

    def checked(method: Callable[..., object]) -> Callable[..., object]:
        def call(backend: S3Backend, bucket: str, upload_id: str, *args: object, **kwargs: object) -> object:
            if upload_id not in backend.get_bucket(bucket).multiparts:
                raise NoSuchUpload(upload_id=upload_id)
            return method(backend, bucket, upload_id, *args, **kwargs)

        return call

    for name in ("upload_part", "complete_multipart_upload"):
        setattr(S3Backend, name, checked(getattr(S3Backend, name)))


def _serve() -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for every request
    _answer_unknown_uploads_as_s3_does()
    os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = "2"  # so that every listing of three objects has pages
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
