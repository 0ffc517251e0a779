"""tuspy, unmodified. Other clients are tried by `make test-clients`."""

import io
import os

import pytest
from tusclient.client import TusClient

from media_service.tables import File
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner

MIB = 1024 * 1024


@pytest.mark.parametrize("chunk_size", [700_001, 5 * MIB, 100 * MIB])
@pytest.mark.parametrize("with_checksum", ["with checksum", "without"])
def test_upload_of_tuspy_becomes_the_file(
    server: ApiServer, owner: Owner, clean_backend: Backend, chunk_size: int, with_checksum: str
):
    data = os.urandom(6 * MIB + 3)
    uploader = TusClient(f"{server.base_url}/v1/uploads", headers=owner.headers).uploader(
        file_stream=io.BytesIO(data),
        chunk_size=chunk_size,
        metadata={"filename": "from-py.bin", "tags": "a,b"},
        upload_checksum=with_checksum == "with checksum",
    )
    uploader.upload()
    [file] = clean_backend.rows(File)
    assert (file.filename, file.tags) == ("from-py.bin", ["a", "b"])
    assert clean_backend.read(file.key) == data


def test_tuspy_resumes_where_it_stopped(server: ApiServer, owner: Owner, clean_backend: Backend):
    data = os.urandom(3 * MIB)
    client = TusClient(f"{server.base_url}/v1/uploads", headers=owner.headers)
    first = client.uploader(file_stream=io.BytesIO(data), chunk_size=MIB)
    first.upload_chunk()
    again = client.uploader(file_stream=io.BytesIO(data), chunk_size=MIB, url=first.url)
    assert again.offset == MIB
    again.upload()
    [file] = clean_backend.rows(File)
    assert clean_backend.read(file.key) == data
