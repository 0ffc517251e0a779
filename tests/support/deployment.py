"""`make test-deploy`: the files of infra/, tried with the programs that will read them."""

import sys

import pytest

from tests.support.debian import make_available

PACKAGES, PROGRAMS = ("nginx-light", "systemd"), ("nginx", "systemd-analyze")


def main(arguments: list[str]) -> int:
    """Run the tests; with `--possible` only says by its exit code whether this machine allows it."""
    if missing := make_available(PACKAGES, PROGRAMS):
        print(f"make test-deploy cannot run here; missing: {', '.join(missing)}", file=sys.stderr)
        print(f"On Debian, as root: apt-get install {' '.join(PACKAGES)}", file=sys.stderr)
        return 1
    if arguments == ["--possible"]:
        return 0
    return int(pytest.main(["-m", "deployment", "tests/deployment", *arguments]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
