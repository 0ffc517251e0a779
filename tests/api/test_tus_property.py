"""Any order of chunks, cuts, retries and rivals: the offset is honest, and the file is the source."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_service.tables import UploadSession
from tests.support.api_server import ApiServer
from tests.support.backends import Backend
from tests.support.raw_http import RawConnection
from tests.support.tus import PATCH_TYPE, TusClient

MIB = 1024 * 1024
PART = 5 * MIB
SIZES = st.one_of(st.integers(0, 5000), st.integers(PART - 3, PART + 3), st.integers(0, 12 * MIB))
CHUNKS = st.one_of(st.integers(0, 5000), st.integers(1, 6 * MIB))

STEP = st.one_of(
    st.tuples(st.just("patch"), CHUNKS),
    st.tuples(st.just("cut"), CHUNKS),
    st.tuples(st.just("stale"), CHUNKS),
    st.tuples(st.just("rivals"), CHUNKS),
    st.tuples(st.just("checksum"), CHUNKS),
)


class Upload:
    """One upload and all that a client knows of it: what was confirmed can never be taken back."""

    def __init__(self, server: ApiServer, backend: Backend, size_bytes: int, seed: int) -> None:
        self.server = server
        self.backend = backend
        self.owner = backend.add_owner()
        self.tus = TusClient(server, self.owner.headers)
        self.source = random.Random(seed).randbytes(size_bytes)
        self.url = self.tus.created(size_bytes)
        self.confirmed = 0

    def look(self) -> int:
        """The offset, which never shrinks and never exceeds what the storage holds."""
        offset = self.tus.offset(self.url)
        assert self.confirmed <= offset <= len(self.source)
        self.confirmed = offset
        self.check_durable(offset)
        return offset

    def check_durable(self, offset: int) -> None:
        [row] = [row for row in self.backend.rows(UploadSession) if str(row.id) in self.url]
        assert row.offset_bytes >= offset
        if row.tail_key is not None:
            assert self.backend.storage.head(row.tail_key).size_bytes <= row.offset_bytes

    def piece(self, offset: int, size_bytes: int) -> bytes:
        return self.source[offset : offset + size_bytes]

    def take(self, answer: httpx2.Response) -> None:
        if answer.status_code == 204:
            self.confirmed = max(self.confirmed, int(answer.headers["Upload-Offset"]))

    def patch(self, size_bytes: int) -> None:
        offset = self.look()
        answer = self.tus.patch(self.url, offset, self.piece(offset, size_bytes))
        assert answer.status_code == 204, answer.text
        self.take(answer)

    def cut(self, size_bytes: int) -> None:
        """A connection that breaks after some of the bytes it announced."""
        offset = self.look()
        announced = len(self.source) - offset
        head = {
            **self.owner.headers,
            "Tus-Resumable": "1.0.0",
            "Content-Type": PATCH_TYPE,
            "Upload-Offset": str(offset),
            "Content-Length": str(announced),
        }
        with RawConnection(self.server.port) as connection:
            connection.send_head("PATCH", "/v1/uploads/" + self.url.rpartition("/")[2], head)
            connection.send(self.piece(offset, min(size_bytes, max(announced - 1, 0))))
            if size_bytes % 2:
                time.sleep(0.05)
                connection.reset()

    def stale(self, size_bytes: int) -> None:
        """An offset that is not the one, with bytes that are not the source's."""
        offset = self.look()
        wrong = offset + 1 if offset == 0 else offset - 1
        answer = self.tus.patch(self.url, wrong, b"?" * min(size_bytes, 1000))
        assert answer.status_code == 409

    def rivals(self, size_bytes: int) -> None:
        offset = self.look()
        with ThreadPoolExecutor(2) as pool:
            sizes = (size_bytes, max(size_bytes // 2, 1))
            for answer in pool.map(
                lambda size: self.tus.patch(self.url, offset, self.piece(offset, size)), sizes
            ):
                assert answer.status_code in {204, 409, 423}, answer.text
                self.take(answer)

    def checksum(self, size_bytes: int) -> None:
        offset = self.look()
        wrong = {"Upload-Checksum": "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
        answer = self.tus.patch(self.url, offset, b"?" * len(self.piece(offset, size_bytes)), wrong)
        assert answer.status_code == (204 if offset == len(self.source) else 460)

    def finish(self) -> str:
        while (offset := self.look()) < len(self.source):
            self.take(self.tus.patch(self.url, offset, self.source[offset:]))
        return str(self.tus.head(self.url).headers["X-File-Id"])


@given(size_bytes=SIZES, seed=st.integers(0, 2**32), steps=st.lists(STEP, max_size=8))
@settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def run(
    server: ApiServer, backend: Backend, size_bytes: int, seed: int, steps: list[tuple[str, Any]]
) -> None:
    upload = Upload(server, backend, size_bytes, seed)
    for name, argument in steps:
        getattr(upload, name)(argument)
    file_id = upload.finish()
    assert backend.read(f"originals/{file_id}") == upload.source
    assert server.app.state.upload_memory.held_bytes == 0


@pytest.mark.timeout(400)
def test_any_order_of_steps_ends_in_the_source(server: ApiServer, clean_backend: Backend):
    run(server, clean_backend)
