"""tus 1.0.0 as a table: request, then status, headers and what it must not do.

https://tus.io/protocols/resumable-upload
"""

import base64
import hashlib
import re
from collections.abc import Iterator

import pytest

from media_service.tables import File, UploadSession
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem
from tests.support.tus import PATCH_TYPE, TusClient, metadata

MIB = 1024 * 1024
IMF_FIXDATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


@pytest.fixture
def tus(server: ApiServer, owner: Owner) -> TusClient:
    return TusClient(server, owner.headers)


@pytest.fixture(scope="module")
def small_server(backend: Backend) -> Iterator[ApiServer]:
    """Takes images of at most a megabyte."""
    with ApiServer(backend.settings, max_file_size=MIB, allowed_types="image/*") as server:
        yield server


@pytest.fixture
def small(small_server: ApiServer, clean_backend: Backend) -> TusClient:
    return TusClient(small_server, clean_backend.add_owner().headers)


def checksum(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


# Discovery


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/uploads/01a21394-0000-7000-8000-000000000000"])
def test_options_says_what_the_server_can_do_without_credentials(server: ApiServer, path: str):
    answer = server.client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "termination", "expiration", "checksum",
        "concatenation",
    }  # fmt: skip
    assert answer.headers["Tus-Max-Size"] == str(5 * 1024**3)
    assert set(answer.headers["Tus-Checksum-Algorithm"].split(",")) >= {"sha1", "sha256"}


# Versions


@pytest.mark.parametrize("version", ["0.2.2", "1.0.1", "", None])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_other_version_or_none_is_a_412_and_does_nothing(
    server: ApiServer, owner: Owner, tus: TusClient, clean_backend: Backend, method: str, version: str | None
):
    url = "/v1/uploads" if method == "POST" else tus.created(5)
    headers = {**owner.headers, "Upload-Length": "5", "Upload-Offset": "0"}
    if method == "PATCH":
        headers["Content-Type"] = PATCH_TYPE
    if version is not None:
        headers["Tus-Resumable"] = version
    body = b"hello" if method == "PATCH" else None
    answer = server.client.request(method, url, headers=headers, content=body)
    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert "Upload-Offset" not in answer.headers
    rows = clean_backend.rows(UploadSession)
    assert [row.offset_bytes for row in rows] == ([] if method == "POST" else [0])


# Creation


def test_creation_answers_with_an_absolute_location_and_an_expiry(server: ApiServer, tus: TusClient):
    answer = tus.create(5)
    assert answer.status_code == 201
    assert re.fullmatch(rf"{server.base_url}/v1/uploads/[0-9a-f-]{{36}}", answer.headers["Location"])
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert IMF_FIXDATE.fullmatch(answer.headers["Upload-Expires"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload-Length": "5", "Upload-Defer-Length": "1"}, 400),
        ({"Upload-Defer-Length": "0"}, 400),
        ({"Upload-Defer-Length": "2"}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "1.5"}, 400),
        ({"Upload-Length": "five"}, 400),
        ({"Upload-Length": "9" * 30}, 400),
        ({"Upload-Length": str(5 * 1024**3 + 1)}, 413),
        ({"Upload-Length": "5", "Upload-Metadata": "key not-base64!"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "key YQ==,key Yg=="}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "a YQ==,,b Yg=="}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(visibility="secret")}, 422),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(custom="[1]")}, 422),
        ({"Upload-Length": "5", "Upload-Metadata": metadata(tags='["' + "x" * 101 + '"]')}, 422),
        ({"Upload-Length": "5", "Upload-Concat": "whatever"}, 400),
        ({"Upload-Concat": "final;"}, 400),
        ({"Upload-Concat": "final;https://elsewhere.example/files/1"}, 400),
        ({"Upload-Concat": "final;/v1/uploads/01a21394-0000-7000-8000-000000000000"}, 404),
        (
            {"Upload-Concat": "final;/v1/uploads/01a21394-0000-7000-8000-000000000000", "Upload-Length": "5"},
            400,
        ),
    ],
)
def test_creation_that_cannot_be_is_refused(
    tus: TusClient, clean_backend: Backend, headers: dict[str, str], status: int
):
    answer = tus.request("POST", "/v1/uploads", headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert clean_backend.leftovers() == {}


def test_empty_upload_is_a_file_at_once(tus: TusClient, clean_backend: Backend):
    answer = tus.create(0)
    [file] = clean_backend.rows(File)
    assert (answer.status_code, answer.headers["X-File-Id"]) == (201, str(file.id))
    assert file.size_bytes == 0


def test_metadata_is_echoed_as_it_was_received(tus: TusClient):
    header = "filename YS50eHQ=,empty,is_private  ,relativePath bnVsbA=="
    head = tus.head(tus.created(5, Upload_Metadata=header))
    assert head.headers["Upload-Metadata"] == header


# HEAD


def test_head_says_offset_length_and_forbids_caches(tus: TusClient):
    url = tus.created(10)
    tus.patch(url, 0, b"hello")
    head = tus.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("5", "10")
    assert head.headers["Cache-Control"] == "no-store"
    assert "Upload-Defer-Length" not in head.headers
    assert "X-File-Id" not in head.headers


@pytest.mark.parametrize("kind", ["unknown", "somebody else's", "no id"])
def test_error_of_a_head_has_no_offset(server: ApiServer, tus: TusClient, stranger: Owner, kind: str):
    url = {
        "unknown": "/v1/uploads/01a21394-0000-7000-8000-000000000000",
        "no id": "/v1/uploads/nothing",
        "somebody else's": TusClient(server, stranger.headers).created(5),
    }[kind]
    answer = tus.head(url)
    assert answer.status_code == (422 if kind == "no id" else 404)
    assert "Upload-Offset" not in answer.headers


# PATCH


def test_patch_says_the_new_offset_and_the_expiry(tus: TusClient):
    answer = tus.patch(tus.created(10), 0, b"hello")
    assert (answer.status_code, answer.headers["Upload-Offset"], answer.content) == (204, "5", b"")
    assert IMF_FIXDATE.fullmatch(answer.headers["Upload-Expires"])


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "text/plain", "", "application/partial-upload"]
)
def test_patch_of_another_content_type_is_a_415(tus: TusClient, content_type: str):
    url = tus.created(5)
    answer = tus.patch(url, 0, b"hello", {"Content-Type": content_type})
    assert_problem(answer, 415, "bad-patch-type")
    assert tus.offset(url) == 0


@pytest.mark.parametrize("offset", [0, 4, 6, 10])
def test_patch_at_another_offset_is_a_409_and_changes_nothing(tus: TusClient, offset: int):
    url = tus.created(10)
    tus.patch(url, 0, b"hello")
    answer = tus.patch(url, offset, b"hello")
    assert_problem(answer, 409, "upload-offset-mismatch")
    assert tus.offset(url) == 5


@pytest.mark.parametrize("offset", ["", "-1", "x", "1_0"])
def test_patch_with_a_bad_offset_is_a_400(tus: TusClient, offset: str):
    assert tus.patch(tus.created(5), 0, b"hello", {"Upload-Offset": offset}).status_code == 400


@pytest.mark.parametrize("form", ["declared", "chunked"])
def test_patch_with_more_bytes_than_the_length_is_a_413_and_is_not_cut(tus: TusClient, form: str):
    url = tus.created(5)
    tus.patch(url, 0, b"he")
    body = iter([b"llo", b" world"]) if form == "chunked" else b"llo world"
    assert_problem(tus.patch(url, 2, body), 413, "upload-exceeds-length")
    assert tus.offset(url) == 2
    assert tus.patch(url, 2, b"llo").status_code == 204


def test_patch_of_no_bytes_moves_nothing(tus: TusClient):
    url = tus.created(5)
    answer = tus.patch(url, 0, b"")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "0")


def test_last_answer_that_was_lost_can_be_asked_for_again(tus: TusClient, clean_backend: Backend):
    url = tus.created(5)
    first = tus.patch(url, 0, b"hello")
    again = tus.patch(url, 5, b"")
    assert (again.status_code, again.headers["X-File-Id"]) == (204, first.headers["X-File-Id"])
    assert tus.head(url).headers["Content-Location"] == first.headers["Content-Location"]
    assert len(clean_backend.rows(File)) == 1


def test_type_that_is_not_allowed_ends_the_upload_as_soon_as_it_is_seen(
    small: TusClient, clean_backend: Backend
):
    url = small.created(20_000)
    assert small.patch(url, 0, b"%PDF-1.7 " * 100).status_code == 204
    assert_problem(small.patch(url, 900, b"x" * 4000), 415, "unsupported-media-type")
    assert small.head(url).status_code == 404
    assert clean_backend.leftovers() == {}


def test_type_is_judged_at_the_end_of_a_short_upload(small: TusClient, clean_backend: Backend):
    url = small.created(5)
    assert_problem(small.patch(url, 0, b"hello"), 415, "unsupported-media-type")
    assert clean_backend.leftovers() == {}
    image = images.jpeg(4, 4)
    assert small.patch(small.created(len(image)), 0, image).status_code == 204


# Method override


@pytest.mark.parametrize(("method", "status"), [("PATCH", 204), ("DELETE", 204), ("HEAD", 200), ("GET", 400)])
def test_post_may_stand_for_another_method(tus: TusClient, method: str, status: int):
    url = tus.created(10)
    headers = {"X-HTTP-Method-Override": method, "Upload-Offset": "0", "Content-Type": PATCH_TYPE}
    answer = tus.request("POST", url, headers, content=b"hello" if method == "PATCH" else b"")
    assert answer.status_code == status
    if status != 400:
        assert tus.head(url).status_code == (404 if method == "DELETE" else 200)


# Creation with upload, deferred length


def test_creation_may_bring_the_first_bytes(tus: TusClient):
    answer = tus.request(
        "POST", "/v1/uploads", {"Upload-Length": "10", "Content-Type": PATCH_TYPE}, content=b"hello"
    )
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "5")
    assert tus.offset(answer.headers["Location"]) == 5


def test_creation_may_bring_all_bytes(tus: TusClient, clean_backend: Backend):
    answer = tus.request(
        "POST", "/v1/uploads", {"Upload-Length": "5", "Content-Type": PATCH_TYPE}, content=b"hello"
    )
    assert answer.status_code == 201
    assert answer.headers["X-File-Id"] == str(clean_backend.rows(File)[0].id)


def test_body_of_another_type_is_no_part_of_a_creation(tus: TusClient):
    answer = tus.request("POST", "/v1/uploads", {"Upload-Length": "10"}, content=b"hello")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "0")


@pytest.mark.parametrize("rest", [b"", b"!!"])
def test_deferred_length_is_said_once_by_a_patch(tus: TusClient, clean_backend: Backend, rest: bytes):
    url = tus.create(None, Upload_Defer_Length="1").headers["Location"]
    head = tus.head(url)
    assert head.headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in head.headers
    assert tus.patch(url, 0, b"hello").status_code == 204
    total = 5 + len(rest)
    answer = tus.patch(url, 5, rest, {"Upload-Length": str(total)})
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(total))
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == b"hello" + rest


def test_length_cannot_be_changed_or_be_too_short(tus: TusClient):
    url = tus.create(None, Upload_Defer_Length="1").headers["Location"]
    tus.patch(url, 0, b"hello")
    assert tus.patch(url, 5, b"", {"Upload-Length": "4"}).status_code == 400
    assert tus.patch(url, 5, b"", {"Upload-Length": str(6 * 1024**3)}).status_code == 413
    assert tus.patch(url, 5, b"", {"Upload-Length": "10"}).status_code == 204
    assert tus.patch(url, 5, b"", {"Upload-Length": "11"}).status_code == 400
    assert tus.head(url).headers["Upload-Length"] == "10"


def test_deferred_upload_that_outgrows_the_limit_is_a_413(small: TusClient):
    url = small.create(None, Upload_Defer_Length="1").headers["Location"]
    assert_problem(small.patch(url, 0, images.jpeg(4, 4) + bytes(MIB)), 413, "file-too-large")


# Checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksum_that_is_right_counts(tus: TusClient, algorithm: str):
    url = tus.created(10)
    answer = tus.patch(url, 0, b"hello", checksum(b"hello", algorithm))
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "5")


@pytest.mark.parametrize("size_bytes", [5, 12 * MIB])
def test_checksum_that_is_wrong_is_a_460_and_the_bytes_do_not_count(
    tus: TusClient, clean_backend: Backend, size_bytes: int
):
    url = tus.created(size_bytes + 3)
    tus.patch(url, 0, b"abc")
    answer = tus.patch(url, 3, b"x" * size_bytes, checksum(b"y" * size_bytes))
    assert_problem(answer, 460, "checksum-mismatch")
    assert tus.offset(url) == 3
    answer = tus.patch(url, 3, b"y" * size_bytes, checksum(b"y" * size_bytes))
    assert clean_backend.read(f"originals/{answer.headers['X-File-Id']}") == b"abc" + b"y" * size_bytes


@pytest.mark.parametrize("header", ["crc32 AAAA", "sha1", "sha1 !!!", "sha1 YQ=", "SHA1 YQ==", ""])
def test_checksum_that_cannot_be_read_is_a_400(tus: TusClient, header: str):
    url = tus.created(5)
    assert tus.patch(url, 0, b"hello", {"Upload-Checksum": header}).status_code in {400, 460}
    assert tus.offset(url) == 0


# Termination


@pytest.mark.parametrize("sent", [b"", b"hello", b"x" * (6 * MIB)])
def test_terminated_upload_is_gone_with_its_bytes(tus: TusClient, clean_backend: Backend, sent: bytes):
    url = tus.created(10 * MIB)
    tus.patch(url, 0, sent)
    answer = tus.request("DELETE", url, {})
    assert (answer.status_code, answer.content, answer.headers["Tus-Resumable"]) == (204, b"", "1.0.0")
    assert [tus.head(url).status_code, tus.request("DELETE", url, {}).status_code] == [404, 404]
    assert tus.patch(url, 0, b"x").status_code == 404
    assert clean_backend.leftovers() == {}


def test_file_of_a_finished_upload_outlives_its_termination(server: ApiServer, owner: Owner, tus: TusClient):
    url = tus.created(5)
    file_id = tus.patch(url, 0, b"hello").headers["X-File-Id"]
    assert tus.request("DELETE", url, {}).status_code == 204
    assert server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers).content == b"hello"


# Expiration


def test_upload_that_expired_is_a_410(tus: TusClient, clean_backend: Backend):
    url = tus.created(5)
    with clean_backend.database.transaction() as session:
        [row] = session.query(UploadSession).all()
        row.lease_until_ms = 1
    assert tus.head(url).status_code == 410
    assert_problem(tus.patch(url, 0, b"hello"), 410, "upload-expired")


# Concatenation


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_final_upload_is_the_pieces_in_order(
    server: ApiServer, tus: TusClient, clean_backend: Backend, form: str
):
    pieces = [b"a" * 10, b"b" * (6 * MIB), b"c"]
    urls = []
    for piece in pieces:
        url = tus.created(len(piece), Upload_Concat="partial")
        assert "X-File-Id" not in tus.patch(url, 0, piece).headers
        assert tus.head(url).headers["Upload-Concat"] == "partial"
        urls.append(url if form == "absolute" else url.removeprefix(server.base_url))
    assert clean_backend.rows(File) == []
    answer = tus.create(
        None, Upload_Concat="final;" + " ".join(urls), Upload_Metadata=metadata(filename="x.txt")
    )
    assert answer.status_code == 201, answer.text
    [file] = clean_backend.rows(File)
    whole = b"".join(pieces)
    assert (file.filename, file.sha256) == ("x.txt", hashlib.sha256(whole).hexdigest())
    assert clean_backend.read(file.key) == whole
    head = tus.head(answer.headers["Location"])
    assert head.headers["Upload-Concat"] == "final;" + " ".join(urls)
    assert head.headers["Upload-Length"] == head.headers["Upload-Offset"] == str(len(whole))
    assert head.headers["X-File-Id"] == str(file.id)
    assert_problem(tus.patch(answer.headers["Location"], len(whole), b""), 403, "final-upload")
    assert tus.create(None, Upload_Concat="final;" + " ".join(urls)).status_code == 201  # still usable


def test_final_upload_of_what_is_no_finished_piece_is_refused(tus: TusClient, clean_backend: Backend):
    whole, unfinished = tus.created(5), tus.created(5, Upload_Concat="partial")
    tus.patch(whole, 0, b"hello")
    assert_problem(tus.create(None, Upload_Concat=f"final;{whole}"), 400, "bad-upload-header")
    assert_problem(tus.create(None, Upload_Concat=f"final;{unfinished}"), 409, "partial-upload-unfinished")
    assert len(clean_backend.rows(File)) == 1


def test_pieces_of_somebody_else_are_not_found(server: ApiServer, tus: TusClient, stranger: Owner):
    url = TusClient(server, stranger.headers).created(0, Upload_Concat="partial")
    assert tus.create(None, Upload_Concat=f"final;{url}").status_code == 404
