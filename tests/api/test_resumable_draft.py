"""The IETF draft of Resumable Uploads as a table, in all versions that are spoken.

draft-ietf-httpbis-resumable-upload
"""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from media_service.tables import File, UploadSession
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem
from tests.support.tus import DRAFT_TYPE, TusClient

MIB = 1024 * 1024
REGISTRY = "https://iana.org/assignments/http-problem-types#"


class DraftClient:
    """A client of one version of the draft; None sends no version."""

    def __init__(self, server: ApiServer, owner: Owner, version: int | None) -> None:
        self._client = server.client
        self._headers = dict(owner.headers)
        if version is not None:
            self._headers["Upload-Draft-Interop-Version"] = str(version)

    def request(self, method: str, url: str, headers: dict[str, str], content: Any = b"") -> httpx2.Response:
        return self._client.request(method, url, headers={**self._headers, **headers}, content=content)

    def create(self, content: Any = b"", *, complete: str = "?0", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", "/v1/uploads", {"Upload-Complete": complete, **named}, content)

    def append(
        self, url: str, offset: int, content: Any, *, complete: str = "?0", **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        wanted = {"Upload-Offset": str(offset), "Upload-Complete": complete, "Content-Type": DRAFT_TYPE}
        return self.request("PATCH", url, {**wanted, **named}, content)

    def head(self, url: str) -> httpx2.Response:
        return self.request("HEAD", url, {}, None)


@pytest.fixture(params=[None, 5, 6, 7, 8, 9, 10])
def client(request: pytest.FixtureRequest, server: ApiServer, owner: Owner) -> DraftClient:
    return DraftClient(server, owner, request.param)


@pytest.fixture
def newest(server: ApiServer, owner: Owner) -> DraftClient:
    return DraftClient(server, owner, 10)


@pytest.fixture(scope="module")
def limited_server(backend: Backend) -> Iterator[ApiServer]:
    limits = {"max_file_size": MIB, "resumable_max_append": 1000, "resumable_interop_versions": "3,8"}
    with ApiServer(backend.settings, **limits) as server:
        yield server


def test_upload_in_three_requests_becomes_a_file(
    server: ApiServer, owner: Owner, client: DraftClient, clean_backend: Backend
):
    created = client.create(b"hello", Content_Disposition='attachment; filename="a.txt"')
    url = created.headers["Location"]
    assert (created.status_code, created.headers["Upload-Complete"]) == (201, "?0")
    assert created.headers["Upload-Limit"].startswith(f"max-size={5 * 1024**3}, min-size=0")
    middle = client.append(url, 5, b", ")
    assert (middle.status_code, middle.headers["Upload-Offset"]) == (204, "7")
    assert middle.headers["Upload-Complete"] == "?0"
    head = client.head(url)
    assert (head.status_code, head.headers["Upload-Offset"], head.headers["Upload-Complete"]) == (
        204,
        "7",
        "?0",
    )
    assert head.headers["Cache-Control"] == "no-store"
    assert "Upload-Limit" in head.headers
    last = client.append(url, 7, b"world", complete="?1")
    assert (last.status_code, last.headers["Upload-Complete"]) == (200, "?1")
    [file] = clean_backend.rows(File)
    assert last.json()["id"] == last.headers["X-File-Id"] == str(file.id)
    assert (file.filename, clean_backend.read(file.key)) == ("a.txt", b"hello, world")
    head = client.head(url)
    assert (head.headers["Upload-Complete"], head.headers["Upload-Length"]) == ("?1", "12")


def test_version_is_echoed(server: ApiServer, owner: Owner):
    assert DraftClient(server, owner, 8).create().headers["Upload-Draft-Interop-Version"] == "8"
    assert "Upload-Draft-Interop-Version" not in DraftClient(server, owner, None).create().headers


def test_whole_upload_in_one_request_is_a_file(newest: DraftClient, clean_backend: Backend):
    answer = newest.create(b"hello", complete="?1")
    assert (answer.status_code, answer.headers["Upload-Complete"]) == (201, "?1")
    assert answer.json()["size"] == 5
    assert "Location" in answer.headers
    assert len(clean_backend.rows(File)) == 1


def test_whole_upload_without_a_declared_length_is_a_file(newest: DraftClient):
    answer = newest.create(iter([b"he", b"llo"]), complete="?1")
    assert (answer.status_code, answer.json()["size"]) == (201, 5)


def test_empty_creation_and_empty_end_are_allowed(newest: DraftClient):
    url = newest.create().headers["Location"]
    assert newest.append(url, 0, b"hello").status_code == 204
    answer = newest.append(url, 5, b"", complete="?1")
    assert (answer.status_code, answer.json()["size"]) == (200, 5)


def test_final_answer_that_was_lost_is_given_again(newest: DraftClient, clean_backend: Backend):
    url = newest.create(b"hello").headers["Location"]
    first = newest.append(url, 5, b"!", complete="?1")
    again = newest.append(url, 6, b"", complete="?1")
    assert (again.status_code, again.headers["Upload-Complete"]) == (200, "?1")
    assert again.json()["id"] == first.json()["id"]
    assert len(clean_backend.rows(File)) == 1


def test_offset_that_is_not_the_one_is_a_problem_of_the_draft(newest: DraftClient):
    url = newest.create(b"hello").headers["Location"]
    answer = newest.append(url, 3, b"lo!")
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"{REGISTRY}mismatching-upload-offset"
    assert (problem["expected-offset"], problem["provided-offset"]) == (5, 3)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == ("5", "?0")


@pytest.mark.parametrize(
    ("offset", "content", "complete", "length"),
    [(5, b"!", "?0", "99"), (5, b"!", "?1", None), (5, b"", "?0", "4")],
    ids=["another length", "too few", "too short"],
)
def test_length_that_contradicts_itself_is_a_problem_of_the_draft(
    newest: DraftClient, offset: int, content: bytes, complete: str, length: str | None
):
    url = newest.create(b"hello", Upload_Length="10").headers["Location"]
    more = {} if length is None else {"Upload_Length": length}
    answer = newest.append(url, offset, content, complete=complete, **more)
    assert (answer.status_code, answer.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")


@pytest.mark.parametrize("form", ["declared", "chunked"])
def test_bytes_beyond_the_length_end_the_upload(newest: DraftClient, clean_backend: Backend, form: str):
    url = newest.create(b"hello", Upload_Length="6").headers["Location"]
    answer = newest.append(url, 5, iter([b"!", b"!"]) if form == "chunked" else b"!!")
    assert (answer.status_code, answer.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert newest.head(url).status_code == 404
    assert clean_backend.leftovers() == {}


def test_length_of_creation_and_its_body_must_agree(newest: DraftClient, clean_backend: Backend):
    answer = newest.create(b"hello", complete="?1", Upload_Length="6")
    assert (answer.status_code, answer.json()["type"]) == (400, f"{REGISTRY}inconsistent-upload-length")
    assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("flag", ["1", "true", "?2", ""])
def test_complete_that_is_no_boolean_is_a_400(newest: DraftClient, flag: str):
    assert newest.create(b"", complete=flag).status_code == 400


def test_append_must_say_offset_and_complete(newest: DraftClient):
    url = newest.create(b"hello").headers["Location"]
    for headers in ({"Upload-Offset": "5"}, {"Upload-Complete": "?0"}):
        answer = newest.request("PATCH", url, {"Content-Type": DRAFT_TYPE, **headers}, b"!")
        assert_problem(answer, 400, "bad-upload-header")


def test_content_type_of_an_append_is_prescribed_from_version_six_on(server: ApiServer, owner: Owner):
    url = DraftClient(server, owner, 5).create(b"").headers["Location"]
    answer = DraftClient(server, owner, 6).append(url, 0, b"x", Content_Type="text/plain")
    assert_problem(answer, 415, "bad-patch-type")
    answer = DraftClient(server, owner, 5).append(url, 0, b"x", Content_Type="text/plain")
    assert answer.status_code == 204


@pytest.mark.parametrize("version", [1, 4, 11, 999])
def test_other_version_is_a_400_that_names_those_that_are_spoken(
    server: ApiServer, owner: Owner, version: int
):
    answer = DraftClient(server, owner, version).create(b"")
    assert_problem(answer, 400, "unsupported-interop-version", versions=[5, 6, 7, 8, 9, 10])


def test_upload_is_asked_for_and_cancelled_without_any_header_of_the_draft(
    server: ApiServer, owner: Owner, newest: DraftClient, clean_backend: Backend
):
    url = newest.create(b"hello").headers["Location"]
    for method in ("HEAD", "GET"):
        answer = server.client.request(method, url, headers=owner.headers)
        assert (answer.status_code, answer.headers["Upload-Offset"], answer.content) == (204, "5", b"")
    assert server.client.delete(url, headers=owner.headers).status_code == 204
    assert newest.head(url).status_code == 404
    assert clean_backend.rows(UploadSession) == []


def test_both_protocols_go_on_with_each_others_uploads(server: ApiServer, owner: Owner, newest: DraftClient):
    tus = TusClient(server, owner.headers)
    url = tus.created(10)
    assert newest.append(url, 0, b"hello").status_code == 204
    assert tus.offset(url) == 5
    assert "X-File-Id" in tus.patch(url, 5, b"world").headers


def test_settings_bound_appends_and_versions(limited_server: ApiServer, clean_backend: Backend):
    owner = clean_backend.add_owner()
    client = DraftClient(limited_server, owner, 8)
    created = client.create(b"")
    assert "max-append-size=1000" in created.headers["Upload-Limit"]
    assert_problem(client.append(created.headers["Location"], 0, bytes(1001)), 413, "append-too-large")
    assert_problem(DraftClient(limited_server, owner, 9).create(b""), 400, "unsupported-interop-version")
    assert client.create(b"", Upload_Length=str(MIB + 1)).status_code == 413


def test_version_three_says_incomplete(limited_server: ApiServer, clean_backend: Backend):
    client = DraftClient(limited_server, clean_backend.add_owner(), 3)
    created = client.request("POST", "/v1/uploads", {"Upload-Incomplete": "?1"}, b"hello")
    assert (created.status_code, created.headers["Upload-Incomplete"]) == (201, "?1")
    headers = {"Upload-Incomplete": "?0", "Upload-Offset": "5"}
    answer = client.request("PATCH", created.headers["Location"], headers, b"!")
    assert (answer.status_code, answer.headers["Upload-Incomplete"]) == (200, "?0")
