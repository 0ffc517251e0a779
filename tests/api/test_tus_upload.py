"""Uploads by tus 1.0.0, from the first byte to the file."""

import hashlib
import os

import pytest

from media_service.storage.keys import TAILS
from media_service.tables import File, UploadSession
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.tus import TusClient, metadata

MIB = 1024 * 1024


@pytest.fixture
def tus(server: ApiServer, owner: Owner) -> TusClient:
    return TusClient(server, owner.headers)


def content(server: ApiServer, owner: Owner, file_id: str) -> bytes:
    return server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers).content


def tails(backend: Backend) -> list[str]:
    return [found.key for found in backend.storage.list_objects(TAILS)]


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 5 * MIB, 12 * MIB + 7])
def test_upload_in_one_patch_becomes_a_file(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend, size_bytes: int
):
    data = os.urandom(size_bytes)
    created = tus.create(size_bytes, Upload_Metadata=metadata(filename="Ü.bin", tags="a,b", custom='{"x":1}'))
    assert created.status_code == 201
    answer = created if size_bytes == 0 else tus.patch(created.headers["Location"], 0, data)
    assert answer.status_code == (201 if size_bytes == 0 else 204), answer.text
    assert answer.headers["Upload-Offset"] == str(size_bytes)
    file_id = answer.headers["X-File-Id"]
    assert answer.headers["Content-Location"] == f"{server.base_url}/v1/files/{file_id}"
    item = server.client.get(f"/v1/files/{file_id}", headers=owner.headers).json()
    assert (item["filename"], item["size"], item["tags"], item["custom"]) == (
        "Ü.bin",
        size_bytes,
        ["a", "b"],
        {"x": 1},
    )
    assert item["sha256"] == hashlib.sha256(data).hexdigest()
    assert content(server, owner, file_id) == data
    assert tails(clean_backend) == []
    head = tus.head(created.headers["Location"])
    assert (head.headers["X-File-Id"], head.headers["Upload-Offset"]) == (file_id, str(size_bytes))


@pytest.mark.parametrize("chunk", [1000, 700_000, 5 * MIB, 6 * MIB])
def test_upload_in_chunks_of_any_size_becomes_the_same_file(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend, chunk: int
):
    data = os.urandom(min(chunk * 7 + 11, 14 * MIB))
    url = tus.created(len(data))
    for offset in range(0, len(data), chunk):
        answer = tus.patch(url, offset, data[offset : offset + chunk])
        assert answer.status_code == 204, answer.text
        assert answer.headers["Upload-Offset"] == str(min(offset + chunk, len(data)))
    assert content(server, owner, answer.headers["X-File-Id"]) == data
    assert tails(clean_backend) == []
    assert [row.is_finished for row in clean_backend.rows(UploadSession)] == [True]


def test_image_in_chunks_is_processed_as_any_image(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend
):
    data = images.jpeg(80, 60)
    url = tus.created(len(data), Upload_Metadata=metadata(filename="a.jpg", visibility="public"))
    tus.patch(url, 0, data[:100])
    answer = tus.patch(url, 100, data[100:])
    [file] = clean_backend.rows(File)
    assert (str(file.id), file.content_type, file.visibility) == (
        answer.headers["X-File-Id"],
        "image/jpeg",
        "public",
    )
