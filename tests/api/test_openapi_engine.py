"""Schemathesis over the whole document, against a running server: every phase and every check."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True),
    pytest.mark.timeout(180),
]

EXAMPLES = 5
"""Of each operation and phase; about 700 requests and 15 seconds."""

METHODS = {"get", "head", "options", "post", "put", "patch", "delete"}
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HOOKS = "tests.support.schemathesis_hooks"
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(clean_backend: Backend) -> Iterator[ApiServer]:
    """Over a database of its own: among much else the walk disables and deletes admins."""
    with ApiServer(clean_backend.settings, database_url=clean_backend.new_database()) as started:
        yield started


def test_no_generated_request_is_answered_in_a_way_that_is_not_documented(server: ApiServer, tmp_path: Path):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
            *("run", f"{server.base_url}/openapi.json"),
            *("--header", f"Authorization: {ADMIN['Authorization']}"),
            *("--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"),
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
    document = server.client.get("/openapi.json").json()
    operations = [name for path in document["paths"].values() for name in path if name in METHODS]
    assert int(tested[1]) == len(operations)
