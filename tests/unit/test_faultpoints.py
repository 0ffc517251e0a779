"""Named fault points: all of them are died at by some test, and none costs anything where it is not armed."""

import re
import subprocess
import sys
from pathlib import Path

from media_service import faultpoints
from tests.support.arena import POINTS

ROOT = Path(__file__).parents[2]
REACHED = re.compile(r'reach\("([a-z.]+)"\)')


def test_every_point_of_the_source_is_known_to_the_faults():
    sources = [path for folder in ("media_service", "workers") for path in (ROOT / folder).rglob("*.py")]
    reached = [name for path in sources for name in REACHED.findall(path.read_text())]
    assert sorted(reached) == sorted(POINTS)


def test_every_point_is_armed_by_name_in_a_test():
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    assert [name for name in POINTS if f'"{name}"' not in tests] == []


def test_point_that_is_not_armed_is_passed():
    faultpoints.reach("upload.stored")


def test_process_dies_at_an_armed_point_once(tmp_path: Path):
    program = "from media_service.faultpoints import reach; reach('a'); print('alive')"

    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={faultpoints.VARIABLE: str(tmp_path)},
            capture_output=True,
            check=False,
        )

    (tmp_path / "a").touch()
    first, second = run(), run()
    assert (first.returncode, first.stdout) == (-9, b"")
    assert (second.returncode, second.stdout) == (0, b"alive\n")
