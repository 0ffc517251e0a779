"""tus-js-client 4 in Node, unmodified, in each of its modes."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from media_service.tables import File
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner

MIB = 1024 * 1024
NODE = shutil.which("node") or "node"
SCRIPT = Path(__file__).parent / "upload.mjs"

MODES: dict[str, dict[str, Any]] = {
    "one infinite chunk": {},
    "chunks": {"chunkSize": 3 * MIB},
    "small chunks": {"chunkSize": 700_001},
    "with the creation": {"uploadDataDuringCreation": True},
    "with the creation, in chunks": {"uploadDataDuringCreation": True, "chunkSize": 4 * MIB},
    "deferred length": {"deferLength": True, "chunkSize": 4 * MIB},
    "parallel": {"parallelUploads": 3},
    "overridden method": {"overridePatchMethod": True},
    "broken off": {"abortAfterBytes": 4 * MIB},
    "draft 03": {"protocol": "ietf-draft-03"},
    "draft 05": {"protocol": "ietf-draft-05"},
    "draft 05 in chunks": {"protocol": "ietf-draft-05", "chunkSize": 3 * MIB},
    "draft 03 in chunks": {"protocol": "ietf-draft-03", "chunkSize": 3 * MIB},
    "draft 05 broken off": {"protocol": "ietf-draft-05", "abortAfterBytes": 4 * MIB},
}


@pytest.mark.parametrize("mode", MODES)
def test_upload_of_tus_js_client_becomes_the_file(
    server: ApiServer, owner: Owner, clean_backend: Backend, tmp_path: Path, mode: str
):
    data = os.urandom(12 * MIB + 3)
    source = tmp_path / "source"
    source.write_bytes(data)
    arguments = [f"{server.base_url}/v1/uploads", owner.key, str(source), json.dumps(MODES[mode])]
    done = subprocess.run(
        [NODE, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    [file] = clean_backend.rows(File)
    assert clean_backend.read(file.key) == data
    assert file.filename == "from-js.bin"
    assert file.tags == ["a", "b"]


def test_empty_upload_of_tus_js_client_becomes_an_empty_file(
    server: ApiServer, owner: Owner, clean_backend: Backend, tmp_path: Path
):
    source = tmp_path / "source"
    source.touch()
    arguments = [f"{server.base_url}/v1/uploads", owner.key, str(source), "{}"]
    subprocess.run([NODE, str(SCRIPT), *arguments], capture_output=True, timeout=60, check=True)
    [file] = clean_backend.rows(File)
    assert file.size_bytes == 0
