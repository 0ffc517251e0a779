"""Companion's contract for S3, spoken as @uppy/aws-s3 6 speaks it. On S3 and locally."""

import json
import os
from typing import Any

import httpx2
import pytest

from media_service.storage.keys import original_key
from media_service.tables import File, UploadSession
from tests.support.accounts import make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.logs import lines_of, written_log
from tests.support.problems import assert_problem
from tests.support.routes import walk
from tests.support.workshop import Workshop

PART = 5 * 1024 * 1024
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


class Uppy:
    """The requests of the plugin, in its order and with its spelling."""

    def __init__(
        self, server: ApiServer, headers: dict[str, str] | None = None, *, token: str | None = None
    ) -> None:
        self.base = f"/v1/companion/{token}/s3" if token is not None else "/v1/s3"
        self.base_url = server.base_url
        self.client = server.client
        self.headers = headers or {}

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return self.client.request(method, f"{self.base}{path}", headers=self.headers, **options)

    def params(self, filename: str, **metadata: str) -> dict[str, Any]:
        query = {"filename": filename, "type": "text/plain"}
        query |= {f"metadata[{name}]": value for name, value in metadata.items()}
        answer = self.ask("GET", "/params", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post_form(self, params: dict[str, Any], data: bytes) -> httpx2.Response:
        return httpx2.post(params["url"], data=params["fields"], files={"file": ("blob", data)}, timeout=30)

    def create(self, **metadata: Any) -> dict[str, Any]:
        body = {"filename": "a1b2-film.bin", "type": "video/mp4", "metadata": metadata}
        answer = self.ask("POST", "/multipart", json=body)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def send(self, made: dict[str, Any], number: int, data: bytes) -> str:
        answer = self.ask("GET", f"/multipart/{made['uploadId']}/{number}", params={"key": made["key"]})
        sent = httpx2.put(answer.json()["url"], content=data, timeout=30)
        assert sent.status_code == 200, sent.text
        return str(sent.headers["ETag"]).strip('"')

    def complete(self, made: dict[str, Any], etags: list[str]) -> httpx2.Response:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        return self.ask(
            "POST",
            f"/multipart/{made['uploadId']}/complete",
            params={"key": made["key"]},
            json={"parts": parts},
        )


def new_token(server: ApiServer, owner: Owner, **terms: Any) -> str:
    shown, _ = make_upload_token(server, owner.headers, **terms)
    return str(shown["token"])


@pytest.fixture(params=["token in the path", "credential"])
def uppy(request: pytest.FixtureRequest, server: ApiServer, owner: Owner) -> Uppy:
    if request.param == "credential":
        return Uppy(server, owner.headers)
    return Uppy(server, token=new_token(server, owner, max_files=5, visibility=None))


def test_small_file_is_one_form_and_a_file_without_another_call(
    uppy: Uppy, owner: Owner, clean_backend: Backend, workshop: Workshop
):
    params = uppy.params(
        "a1b2-notes.txt", name="notes.txt", tags="x, y", visibility="public", other="ignored"
    )
    assert params["method"] == "POST"
    assert "file" not in params["fields"]
    answer = uppy.post_form(params, b"some text")
    assert answer.status_code == 201, answer.text
    [file] = clean_backend.rows(File)
    assert str(file.id) == params["fields"]["key"]
    assert (file.filename, file.content_type, file.tags) == ("notes.txt", "text/plain", ["x", "y"])
    assert (file.owner_id, file.visibility.value) == (owner.id, "public")
    assert clean_backend.read(original_key(file.id)) == b"some text"
    assert clean_backend.rows(UploadSession) == []
    workshop.run_all()
    assert clean_backend.rows(File)[0].status.value == "ready"


@pytest.mark.parametrize("size", [0, 1, PART, 17 * 1024 * 1024 + 1])
def test_form_may_have_any_size(uppy: Uppy, clean_backend: Backend, size: int):
    data = os.urandom(size)
    assert uppy.post_form(uppy.params("a"), data).status_code == 201
    [file] = clean_backend.rows(File)
    assert clean_backend.read(original_key(file.id)) == data
    assert list(clean_backend.storage.list_uploads()) == []


def test_form_that_comes_again_is_the_same_file(uppy: Uppy, clean_backend: Backend):
    params = uppy.params("a")
    answers = [uppy.post_form(params, data) for data in (b"first", b"other")]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    [file] = clean_backend.rows(File)
    assert clean_backend.read(original_key(file.id)) == b"first"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"files": {"key": (None, "x")}}, "no-file"),
        ({"files": [("file", ("a", b"a")), ("file", ("b", b"b"))]}, "malformed-multipart"),
        ({"content": b"no", "headers": FORM}, "malformed-multipart"),
    ],
)  # fmt: skip
def test_form_that_is_none_makes_no_file(uppy: Uppy, clean_backend: Backend, body: dict[str, Any], code: str):
    answer = httpx2.post(uppy.params("a")["url"], timeout=30, **body)
    assert_problem(answer, 400, code)
    assert clean_backend.rows(File) == []


def test_form_needs_its_signature(uppy: Uppy):
    params = uppy.params("a")
    params["url"] = params["url"].replace("sig=", "sig=x")
    assert_problem(uppy.post_form(params, b"a"), 403, "bad-signature")


def test_large_file_goes_on_after_a_cut_and_is_completed(uppy: Uppy, clean_backend: Backend):
    data = os.urandom(2 * PART + 99)
    pieces = [data[:PART], data[PART : 2 * PART], data[2 * PART :]]
    made = uppy.create(name="film.bin", tags=["x"])
    assert made["bucket"]
    etags = [uppy.send(made, 1, pieces[0]), uppy.send(made, 2, pieces[1])]
    listed = uppy.ask("GET", f"/multipart/{made['uploadId']}", params={"key": made["key"]}).json()
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, PART)]
    assert [part["ETag"].strip('"') for part in listed] == etags
    etags.append(uppy.send(made, 3, pieces[2]))
    answer = uppy.complete(made, etags)
    [file] = clean_backend.rows(File)
    assert answer.json() == {
        "location": f"{uppy.base_url}/v1/files/{file.id}",
        "key": str(file.id),
        "bucket": made["bucket"],
    }
    assert (file.filename, file.tags, file.size_bytes) == ("film.bin", ["x"], len(data))
    assert clean_backend.read(original_key(file.id)) == data
    assert uppy.complete(made, etags).json() == answer.json()


def test_older_uppy_signs_parts_in_batches(uppy: Uppy):
    made = uppy.create()
    answer = uppy.ask(
        "GET", f"/multipart/{made['uploadId']}/batch", params={"key": made["key"], "partNumbers": "1,2"}
    )
    urls = answer.json()["presignedUrls"]
    assert set(urls) == {"1", "2"}
    assert httpx2.put(urls["2"], content=b"x" * PART).status_code == 200


def test_abort_leaves_nothing(uppy: Uppy, clean_backend: Backend):
    made = uppy.create()
    uppy.send(made, 1, b"x" * PART)
    answer = uppy.ask("DELETE", f"/multipart/{made['uploadId']}", params={"key": made["key"]})
    assert (answer.status_code, answer.json()) == (200, {})
    assert clean_backend.leftovers() == {}


def test_completion_needs_the_parts_that_came(uppy: Uppy):
    made = uppy.create()
    etag = uppy.send(made, 2, b"x" * PART)
    assert_problem(uppy.complete(made, ["a", etag]), 409, "upload-parts-mismatch", missing_parts=[1])


def test_key_must_fit(uppy: Uppy):
    made = uppy.create()
    answer = uppy.ask("GET", f"/multipart/{made['uploadId']}", params={"key": "other"})
    assert_problem(answer, 404, "not-found")


def test_fields_that_cannot_be_are_refused(uppy: Uppy):
    answer = uppy.ask("POST", "/multipart", json={"filename": "a", "metadata": {"visibility": "secret"}})
    assert_problem(answer, 422, "invalid-request")


TOKEN_ROUTES = [
    ("GET", "/params"),
    ("POST", "/multipart"),
    ("GET", "/multipart/{id}"),
    ("GET", "/multipart/{id}/batch"),
    ("GET", "/multipart/{id}/1"),
    ("POST", "/multipart/{id}/complete"),
    ("DELETE", "/multipart/{id}"),
]


def test_every_route_with_a_token_in_its_path_refuses_bad_ones_and_strangers(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend
):
    found = {(route.method, route.path) for route in walk(server.app) if "upload_token" in route.path}
    assert len(found) == len(TOKEN_ROUTES)
    made = Uppy(server, token=new_token(server, owner)).create()
    strangers = [new_token(server, who) for who in (owner, stranger)]
    bodies: dict[str, Any] = {"/multipart": {"filename": "a"}, "/multipart/{id}/complete": {"parts": []}}
    for method, path in TOKEN_ROUTES:

        def ask(token: str, method: str = method, path: str = path) -> httpx2.Response:
            return server.client.request(
                method,
                f"/v1/companion/{token}/s3{path.format(id=made['uploadId'])}",
                params={"key": made["key"]},
                json=bodies.get(path) if method == "POST" else None,
            )

        for bad in ("mut_00000000_unknown", "msk_00000000_unknown", owner.key):
            assert_problem(ask(bad), 401, "invalid-credentials")
        if "{id}" in path:
            assert {ask(token).status_code for token in strangers} == {404}, path


def test_token_in_the_path_is_in_no_log_line(clean_backend: Backend):
    owner = clean_backend.add_owner()
    with written_log() as log, ApiServer(clean_backend.settings, log_format="json") as server:
        token = new_token(server, owner)
        uppy = Uppy(server, token=token)
        uppy.post_form(uppy.params("a"), b"a")
        uppy.ask("GET", "/multipart/nonsense")
        uppy.ask("POST", "/multipart", content=b"{")
        uppy.ask("GET", "/no-such-thing")
        Uppy(server, token=f"{token}x").ask("GET", "/params")
    lines = [line for line in lines_of(log) if not line["logger"].startswith(("httpx", "httpcore"))]
    routes = {line.get("route") for line in lines}
    assert "/v1/companion/{upload_token}/s3/params" in routes
    assert "/v1/signed/uploads/{upload_id}/form" in routes
    assert token.rpartition("_")[2] not in json.dumps(lines)
    assert "sig=" not in json.dumps(lines)
