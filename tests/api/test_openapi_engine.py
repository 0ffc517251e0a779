"""Schemathesis over the whole document, against a running server: every phase and every check but one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True),
    pytest.mark.timeout(180),
]

EXAMPLES = 5
"""Of each operation and phase; about 700 requests and 15 seconds."""

HOOKS = "tests.support.schemathesis_hooks"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
BEYOND_A_SCHEMA = "positive_data_acceptance"
"""What a value means no schema can say: the ETag of another version, the name of a preset, JSON in a text."""


def test_no_generated_request_is_answered_in_a_way_that_is_not_documented(server: ApiServer, tmp_path: Path):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json"),
            *("--header", f"Authorization: {ADMIN['Authorization']}"),
            *("--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--exclude-checks", BEYOND_A_SCHEMA),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,  # where it leaves its database of examples
        # Imported from the checkout, which the environment does not know as a package.
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2000:]
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested is not None
    assert int(tested[1]) >= 19
