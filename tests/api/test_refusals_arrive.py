"""Refusals in the middle of a body, as real clients see them: status and problem, no broken connection."""

import base64
import hashlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend

# The clients are what differs here.
pytestmark = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)

MEGABYTE = 10**6
LIMIT = 24 * MEGABYTE
WRONG_SHA256 = hashlib.sha256(b"something else").hexdigest()


@dataclass(frozen=True)
class Body:
    """What a client is to send."""

    url: str
    path: Path
    key: str | None
    sha256: str | None

    @property
    def headers(self) -> dict[str, str]:
        """For a raw body."""
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode() if self.sha256 else None
        return {**self.credentials, **({"Repr-Digest": f"sha-256=:{digest}:"} if digest else {})}

    @property
    def credentials(self) -> dict[str, str]:
        return {"Authorization": self.key} if self.key else {}

    @property
    def fields(self) -> dict[str, str]:
        """For a form, before its file."""
        return {"sha256": self.sha256} if self.sha256 else {}


Seen = tuple[int, str]
Client = Callable[[Body], Seen]


def curl(headers: dict[str, str], *arguments: str) -> Seen:
    options = [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        [shutil.which("curl") or "curl", "-sS", "-w", "\n%{http_code}", *options, *arguments],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    problem, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(problem)["code"]


def curl_form(body: Body) -> Seen:
    fields = [argument for name, value in body.fields.items() for argument in ("-F", f"{name}={value}")]
    return curl(body.credentials, *fields, "-F", f"file=@{body.path}", body.url)


def curl_file(body: Body) -> Seen:
    return curl(body.headers, "-X", "POST", "-T", str(body.path), body.url)


def curl_chunks(body: Body) -> Seen:
    chunked = {**body.headers, "Transfer-Encoding": "chunked"}
    return curl(chunked, "-X", "POST", "-T", str(body.path), body.url)


def curl_without_waiting(body: Body) -> Seen:
    """Not even a second for a 100 Continue."""
    return curl({**body.headers, "Expect": ""}, "-X", "POST", "-T", str(body.path), body.url)


def httpx2_form(body: Body) -> Seen:
    with body.path.open("rb") as stream:
        return seen(httpx2.post(body.url, headers=body.credentials, data=body.fields, files={"file": stream}))


def httpx2_stream(body: Body) -> Seen:
    with body.path.open("rb") as stream:
        pieces = iter(lambda: stream.read(65536), b"")
        return seen(httpx2.post(body.url, headers=body.headers, content=pieces))


def seen(answer: httpx2.Response) -> Seen:
    return answer.status_code, answer.json()["code"]


def http_client_file(body: Body) -> Seen:
    with body.path.open("rb") as stream:
        return python(body, stream, {"Content-Length": str(body.path.stat().st_size)})


def http_client_chunks(body: Body) -> Seen:
    with body.path.open("rb") as stream:
        pieces = iter(lambda: stream.read(65536), b"")
        return python(body, pieces, {"Transfer-Encoding": "chunked"})


def python(body: Body, content: object, framing: dict[str, str]) -> Seen:
    connection = http.client.HTTPConnection(body.url.split("/")[2], timeout=30)
    try:
        connection.request(
            "POST",
            "/v1/files",
            body=content,  # type: ignore[arg-type]  # a file or an iterator, both are taken
            headers={**body.headers, **framing},
            encode_chunked="Transfer-Encoding" in framing,
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["code"]
    finally:
        connection.close()


CLIENTS: list[Client] = [httpx2_form, httpx2_stream, http_client_file, http_client_chunks]
if shutil.which("curl") is not None:
    CLIENTS += [curl_form, curl_file, curl_chunks, curl_without_waiting]


@pytest.fixture(scope="module")
def strict_server(backend: Backend) -> Iterator[ApiServer]:
    changes = {"max_file_size": LIMIT, "allowed_types": "image/gif"}
    with ApiServer(backend.settings, **changes) as server:
        yield server


@pytest.fixture
def strict(strict_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return strict_server


def file_of(folder: Path, size_bytes: int, *, head: bytes = b"GIF89a") -> Path:
    path = folder / "body.bin"
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(size_bytes)
    return path


@pytest.mark.parametrize("client", CLIENTS)
def test_file_over_the_limit_is_a_413_for_the_client(
    strict: ApiServer, clean_backend: Backend, tmp_path: Path, client: Client
):
    path = file_of(tmp_path, 2 * LIMIT)
    body = Body(f"{strict.base_url}/v1/files", path, ADMIN["Authorization"], None)
    assert client(body) == (413, "file-too-large")
    assert_nothing_left(strict, clean_backend)


@pytest.mark.parametrize("client", CLIENTS)
def test_type_that_is_not_taken_is_a_415_for_the_client(
    strict: ApiServer, clean_backend: Backend, tmp_path: Path, client: Client
):
    path = file_of(tmp_path, 20 * MEGABYTE, head=b"%PDF-1.7\n")
    body = Body(f"{strict.base_url}/v1/files", path, ADMIN["Authorization"], None)
    assert client(body) == (415, "unsupported-media-type")
    assert_nothing_left(strict, clean_backend)


@pytest.mark.parametrize("client", CLIENTS)
def test_missing_credentials_are_a_401_for_the_client(
    strict: ApiServer, clean_backend: Backend, tmp_path: Path, client: Client
):
    body = Body(f"{strict.base_url}/v1/files", file_of(tmp_path, 20 * MEGABYTE), None, None)
    assert client(body) == (401, "missing-credentials")
    assert_nothing_left(strict, clean_backend)


@pytest.mark.parametrize("client", CLIENTS)
def test_wrong_digest_is_a_422_for_the_client(
    strict: ApiServer, clean_backend: Backend, tmp_path: Path, client: Client
):
    path = file_of(tmp_path, 20 * MEGABYTE)
    body = Body(f"{strict.base_url}/v1/files", path, ADMIN["Authorization"], WRONG_SHA256)
    assert client(body) == (422, "digest-mismatch")
    assert_nothing_left(strict, clean_backend)


def assert_nothing_left(server: ApiServer, backend: Backend) -> None:
    assert backend.leftovers() == {}
    assert server.app.state.upload_memory.held_bytes == 0
