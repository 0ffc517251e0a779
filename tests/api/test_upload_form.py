"""`POST /v1/files` with multipart/form-data: what is taken, and what becomes of it."""

import hashlib
import json
from typing import Any

import pytest

from media_service.storage.keys import original_key
from media_service.tables import Event, File, Job
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.forms import CONTENT_TYPE, file_part, form, text_part

JPEG = images.jpeg(64, 48)


def post_form(server: ApiServer, owner: Owner, *parts: bytes) -> Any:
    return server.client.post(
        "/v1/files", headers={**owner.headers, "Content-Type": CONTENT_TYPE}, content=form(*parts)
    )


def test_form_with_one_image_returns_201_with_the_whole_file(server: ApiServer, owner: Owner):
    answer = server.client.post(
        "/v1/files", headers=owner.headers, files={"file": ("cat.jpg", JPEG, "image/jpeg")}
    )
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    url = f"{server.base_url}/v1/files/{file['id']}"
    assert file == {
        "id": file["id"],
        "filename": "cat.jpg",
        "content_type": "image/jpeg",
        "size": len(JPEG),
        "sha256": hashlib.sha256(JPEG).hexdigest(),
        "kind": "image",
        "status": "processing",
        "status_reason": None,
        "visibility": "private",
        "tags": [],
        "custom": {},
        "created_at": file["created_at"],
        "updated_at": file["created_at"],
        "etag": '"1"',
        "metadata": {"width": None, "height": None, "exif": {}, "duration": None},
        "placeholder": None,
        "renditions": [],
        "urls": {"self": url, "content": f"{url}/content", "download": f"{url}/download"},
    }
    assert answer.headers["Location"] == url
    assert file["created_at"].endswith("Z")


def test_uploaded_image_is_a_row_an_object_a_job_and_an_event(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    answer = post_form(server, owner, file_part(JPEG))
    [file] = clean_backend.rows(File)
    [job] = clean_backend.rows(Job)
    [event] = clean_backend.rows(Event)
    assert str(file.id) == answer.json()["items"][0]["id"]
    assert file.owner_id == owner.id
    assert (job.kind, job.lane, job.status, job.file_id) == ("process_file", "uploads", "queued", file.id)
    assert (event.type, event.file_id, event.owner_id) == ("file.created", file.id, owner.id)
    assert clean_backend.keys() == {original_key(file.id)}
    assert clean_backend.read(original_key(file.id)) == JPEG


def test_file_of_an_unprocessed_kind_is_ready_at_once_without_a_job(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    answer = post_form(server, owner, file_part(b"just words\n", filename="note.txt"))
    [file] = answer.json()["items"]
    assert (file["status"], file["kind"], file["content_type"]) == ("ready", "document", "text/plain")
    assert clean_backend.rows(Job) == []
    assert [event.type for event in clean_backend.rows(Event)] == ["file.created", "file.ready"]


def test_several_files_under_any_field_names_keep_their_order(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    contents = {"a.txt": b"first", "b.txt": b"second", "c.jpg": JPEG}
    parts = [
        file_part(data, filename=name, field=f"any-{number}")
        for number, (name, data) in enumerate(contents.items())
    ]
    answer = post_form(server, owner, *parts)
    assert answer.status_code == 201
    items = answer.json()["items"]
    assert [item["filename"] for item in items] == list(contents)
    assert answer.headers["Location"].endswith(items[0]["id"])
    for item, data in zip(items, contents.values(), strict=True):
        assert clean_backend.read(f"originals/{item['id']}") == data


def test_a_hundred_parts_are_taken(server: ApiServer, owner: Owner):
    parts = [text_part(f"field-{number}", "x") for number in range(99)]
    answer = post_form(server, owner, *parts, file_part(b"x"))
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("日本語の写真.jpg", "日本語の写真.jpg"),
        ("Grüße aus Köln.txt", "Grüße aus Köln.txt"),
        ("e\u0301te\u0301.png", "été.png"),
        ("🐈.gif", "🐈.gif"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("a\x07b.txt", "ab.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("..", "unnamed"),
        ("%22quoted%22.txt", '"quoted".txt'),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
    ],
)
def test_name_is_kept_as_far_as_it_is_safe(server: ApiServer, owner: Owner, sent: str, stored: str):
    [file] = post_form(server, owner, file_part(b"data", filename=sent)).json()["items"]
    assert file["filename"] == stored


def test_japanese_name_comes_back_in_content_disposition(server: ApiServer, owner: Owner):
    [file] = post_form(server, owner, file_part(JPEG, filename="猫.jpg")).json()["items"]
    answer = server.client.head(f"/v1/files/{file['id']}/content", headers=owner.headers)
    assert (
        answer.headers["Content-Disposition"] == "inline; filename=\"_.jpg\"; filename*=UTF-8''%E7%8C%AB.jpg"
    )


FIELDS = [
    text_part("visibility", "public"),
    text_part("tags", "holiday"),
    text_part("tags", "sea"),
    text_part("custom", json.dumps({"album": 7, "ort": "Köln"})),
    text_part("csrf_token", "not ours, and ignored"),
]


@pytest.mark.parametrize("place", range(len(FIELDS) + 1))
def test_fields_count_wherever_they_stand(server: ApiServer, owner: Owner, place: int):
    parts = [*FIELDS[:place], file_part(JPEG), *FIELDS[place:]]
    answer = post_form(server, owner, *parts)
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert file["visibility"] == "public"
    assert file["tags"] == ["holiday", "sea"]
    assert file["custom"] == {"album": 7, "ort": "Köln"}


def test_fields_hold_for_all_files_of_the_form(server: ApiServer, owner: Owner):
    answer = post_form(server, owner, file_part(b"1"), text_part("tags", "both"), file_part(b"2"))
    assert [item["tags"] for item in answer.json()["items"]] == [["both"], ["both"]]


def test_repeated_tag_is_kept_once(server: ApiServer, owner: Owner):
    answer = post_form(server, owner, text_part("tags", "a"), text_part("tags", "a"), file_part(b"1"))
    assert answer.json()["items"][0]["tags"] == ["a"]


def test_right_sha256_before_each_file_is_taken(server: ApiServer, owner: Owner):
    parts = []
    for data in (b"one", b"two"):
        parts += [text_part("sha256", hashlib.sha256(data).hexdigest().upper()), file_part(data)]
    answer = post_form(server, owner, *parts, file_part(b"three, unchecked"))
    assert answer.status_code == 201
    assert len(answer.json()["items"]) == 3


@pytest.mark.parametrize("filename", ["empty.txt", "cat.jpg"])
def test_empty_file_is_a_file(server: ApiServer, owner: Owner, clean_backend: Backend, filename: str):
    answer = post_form(server, owner, file_part(b"", filename=filename))
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert (file["size"], file["status"]) == (0, "ready")
    assert file["sha256"] == hashlib.sha256(b"").hexdigest()
    assert clean_backend.read(f"originals/{file['id']}") == b""


def test_file_input_that_was_left_empty_is_passed_over(server: ApiServer, owner: Owner):
    answer = post_form(server, owner, file_part(b"", filename=""), file_part(b"data", filename="b.txt"))
    assert [item["filename"] for item in answer.json()["items"]] == ["b.txt"]


def test_file_without_a_name_but_with_bytes_is_stored_unnamed(server: ApiServer, owner: Owner):
    answer = post_form(server, owner, file_part(b"data", filename=""))
    assert [item["filename"] for item in answer.json()["items"]] == ["unnamed"]


@pytest.mark.parametrize(
    ("data", "content_type", "kind"),
    [
        (JPEG, "image/jpeg", "image"),
        (images.png_alpha(16, 16), "image/png", "image"),
        (images.webp(16, 16), "image/webp", "image"),
        (images.gif(16, 16), "image/gif", "image"),
        (images.heic(64, 64), "image/heic", "image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf", "document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "image"),
        (b"<!doctype html><html><body>x</body></html>", "text/html", "document"),
        (b"\x00\x01\x02\x03", "application/octet-stream", "other"),
    ],
)
def test_type_is_what_the_content_says_whatever_was_declared(
    server: ApiServer, owner: Owner, data: bytes, content_type: str, kind: str
):
    part = file_part(data, filename="liar.mp4", headers="Content-Type: video/mp4\r\n")
    [file] = post_form(server, owner, part).json()["items"]
    assert (file["content_type"], file["kind"]) == (content_type, kind)


def test_text_named_jpg_is_stored_as_text(server: ApiServer, owner: Owner):
    answer = post_form(server, owner, file_part(b"no picture at all", filename="photo.jpg"))
    [file] = answer.json()["items"]
    assert (answer.status_code, file["content_type"], file["status"]) == (201, "text/plain", "ready")
    assert file["filename"] == "photo.jpg"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_form_may_arrive_in_chunks_of_any_size(
    server: ApiServer, owner: Owner, clean_backend: Backend, chunk_bytes: int
):
    data = b"\r\n--test-boundary" * 20 + b"\r\n"
    body = form(text_part("tags", "cut"), file_part(data))
    chunks = (body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes))
    answer = server.client.post(
        "/v1/files", headers={**owner.headers, "Content-Type": CONTENT_TYPE}, content=chunks
    )
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert file["tags"] == ["cut"]
    assert clean_backend.read(f"originals/{file['id']}") == data


def test_file_of_several_parts_is_stored_byte_exact_and_closes_its_session(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    data = bytes(range(256)) * (12 * 4096)  # 12 MiB: more than two parts of either storage
    answer = post_form(server, owner, file_part(data, filename="large.bin"))
    assert answer.status_code == 201
    [file] = answer.json()["items"]
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert clean_backend.read(f"originals/{file['id']}") == data
    assert set(clean_backend.leftovers()) == {"files", "events", "objects"}
