"""Programs that some tests need beside Python, from Debian's packages where the machine allows that."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

INSTALL_SECONDS = 600


def missing(programs: Sequence[str]) -> list[str]:
    """Those that are not on the PATH."""
    return [program for program in programs if shutil.which(program) is None]


def make_available(packages: Sequence[str], programs: Sequence[str]) -> list[str]:
    """Install what is missing if this machine allows it; returns what is missing still."""
    if missing(programs) and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            _install(packages)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"Debian's packages could not be installed: {error}", file=sys.stderr)
    return missing(programs)


def _install(packages: Sequence[str]) -> None:
    """Raises CalledProcessError, TimeoutExpired or OSError."""
    options = ["-qq", "-y", "--no-install-recommends"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", *options, *packages]):
        subprocess.run(
            [shutil.which("apt-get") or "apt-get", *arguments],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            timeout=INSTALL_SECONDS,
        )
