"""A strict S3 server for `make test-s3`: OpenStack Swift with its s3api, from Debian's packages.

It checks signatures, expiry, signed headers and the order of parts, which moto does not. What it lacks
itself: it ignores x-amz-checksum-*, has no lifecycle, and answers 501 to If-None-Match on a PUT.
"""

import getpass
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from media_service.supervisor.process import die_with_parent
from tests.support.debian import make_available
from tests.support.ports import free_port, wait_for_port
from tests.support.s3_server import S3Server, create_bucket

PACKAGES = ("swift-proxy", "swift-account", "swift-container", "swift-object", "memcached")
PROGRAMS = (*(f"swift-{kind}-server" for kind in ("proxy", "account", "container", "object")), "memcached")
ACCESS_KEY, SECRET_KEY = "test:tester", "testing"

BACKEND = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
devices = {devices}
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {etc}
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached_port}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = 5242880
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


@contextmanager
def swift_server() -> Iterator[S3Server]:
    """Start all of Swift on free loopback ports, with an empty bucket."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="media-test-swift-")))
        etc, devices = folder / "etc", folder / "devices"
        etc.mkdir()
        (devices / "d1").mkdir(parents=True)
        (etc / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n"
            "[storage-policy:0]\nname = gold\ndefault = yes\n"
        )
        common = {"etc": str(etc), "devices": str(devices), "user": getpass.getuser()}
        for kind in ("account", "container", "object"):
            port = free_port()
            _build_ring(etc, kind, port)
            _start(
                stack, folder, f"swift-{kind}-server", BACKEND.format(kind=kind, port=port, **common), port
            )
        memcached_port = free_port()
        argv = ["memcached", "-u", getpass.getuser(), "-l", "127.0.0.1", "-p", str(memcached_port)]
        _run(stack, folder, argv, memcached_port)
        port = free_port()
        proxy = PROXY.format(port=port, memcached_port=memcached_port, **common)
        _start(stack, folder, "swift-proxy-server", proxy, port)
        server = S3Server("swift", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
        create_bucket(server)
        yield server


def _build_ring(etc: Path, kind: str, port: int) -> None:
    for arguments in (
        ["create", "6", "1", "0"],
        ["add", f"r1z1-127.0.0.1:{port}/d1", "100"],
        ["rebalance"],
    ):
        argv = ["swift-ring-builder", f"{kind}.builder", *arguments]
        subprocess.run(argv, cwd=etc, check=True, capture_output=True)


def _start(stack: ExitStack, folder: Path, program: str, config: str, port: int) -> None:
    path = folder / "etc" / f"{program}.conf"
    path.write_text(config)
    _run(stack, folder, [program, str(path)], port)


def _run(stack: ExitStack, folder: Path, argv: list[str], port: int) -> None:
    """A process of the system's own Python: nothing of this environment may reach it."""
    env = {"PATH": os.defpath + ":/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder)}
    log = stack.enter_context((folder / f"{argv[0]}.log").open("wb"))
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - only a prctl
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    wait_for_port(port, process)


def main(arguments: list[str]) -> int:
    """`make test-s3`; with `--possible` only says by its exit code whether this machine allows it."""
    if missing := make_available(PACKAGES, PROGRAMS):
        print(f"make test-s3 cannot run here; missing: {', '.join(missing)}", file=sys.stderr)
        print(f"On Debian, as root: apt-get install {' '.join(PACKAGES)}", file=sys.stderr)
        return 1
    if arguments == ["--possible"]:
        return 0
    tests = [f"tests/contract/{name}" for name in ("test_storage.py", "test_strict_s3.py")]
    return int(pytest.main(["--swift", *tests]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
