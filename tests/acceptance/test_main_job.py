"""The main job on a started service: a photo in, renditions and metadata out, downloads as RFC 9110 says.

Everything twice, on configurations that differ by settings alone.
"""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.support import images
from tests.support.service import RunningService
from tests.support.started import Configuration

READY_SECONDS = 60
SHOWN_WIDTH, SHOWN_HEIGHT = 3024, 4032
RENDITIONS = {"thumb": (192, 256), "small": (600, 800), "large": (1200, 1600)}

Sent = tuple[bytes, dict[str, Any]]


@pytest.fixture(scope="module")
def client(configuration: Configuration) -> Iterator[httpx2.Client]:
    with configuration.service.client(timeout_seconds=60) as client:
        yield client


@pytest.fixture(scope="module")
def photo(
    configuration: Configuration, client: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Sent:
    """Twelve megapixels, held upright by orientation 6, with GPS: its bytes and its ready File."""
    content = images.jpeg(SHOWN_WIDTH, SHOWN_HEIGHT, orientation=6)
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    path.write_bytes(content)
    posted = _post_as_a_user_does(configuration.service, path)
    return content, _until_processed(client, posted["items"][0]["id"])


def _post_as_a_user_does(service: RunningService, path: Path) -> Any:
    """The line that the service prints at its start, by curl where there is one."""
    if shutil.which("curl") is None:
        with service.client() as client, path.open("rb") as stream:
            return client.post("/v1/files", files={"file": (path.name, stream, "image/jpeg")}).json()
    argv = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {service.api_key}"]
    done = subprocess.run(
        [*argv, "-F", f"file=@{path}", f"{service.base_url}/v1/files"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def _until_processed(client: httpx2.Client, file_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + READY_SECONDS
    while (file := client.get(f"/v1/files/{file_id}").json())["status"] == "processing":
        assert time.monotonic() < deadline, file
        time.sleep(0.05)
    return dict(file)


def _post(client: httpx2.Client, name: str, content: bytes, declared: str = "image/jpeg") -> dict[str, Any]:
    answer = client.post("/v1/files", files={"file": (name, content, declared)})
    assert answer.status_code == 201, answer.text
    (file,) = answer.json()["items"]
    return dict(file)


def _problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def test_a_photo_becomes_ready_with_its_size_as_displayed_its_exif_and_a_placeholder(photo: Sent):
    content, file = photo

    assert file["status"] == "ready", file
    assert (file["content_type"], file["kind"], file["filename"]) == ("image/jpeg", "image", "photo.jpg")
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (file["metadata"]["width"], file["metadata"]["height"]) == (SHOWN_WIDTH, SHOWN_HEIGHT)
    assert "Acme" in json.dumps(file["metadata"]["exif"])
    assert "2024-05-06T07:08:09" in json.dumps(file["metadata"]["exif"])
    assert len(base64.b64decode(file["placeholder"]["thumbhash"])) >= 5
    assert len(file["placeholder"]["color"]) == 7


def test_the_place_where_the_photo_was_taken_is_in_the_metadata(photo: Sent):
    assert "33.9" in json.dumps(photo[1]["metadata"]["exif"])


@pytest.mark.parametrize("name", RENDITIONS)
def test_a_rendition_is_upright_and_carries_no_metadata(client: httpx2.Client, photo: Sent, name: str):
    described = {rendition["name"]: rendition for rendition in photo[1]["renditions"]}
    assert set(described) == set(RENDITIONS)

    answer = client.get(described[name]["url"])

    assert answer.headers["content-type"] == described[name]["content_type"] == "image/webp"
    assert len(answer.content) == described[name]["size"]
    with Image.open(io.BytesIO(answer.content)) as opened:
        assert opened.size == RENDITIONS[name] == (described[name]["width"], described[name]["height"])
        assert not opened.getexif()
        assert not {"exif", "xmp", "comment"} & set(opened.info)
        assert _corner_distance(opened.convert("RGB")) < 20
    for leak in (b"EXIF", b"XMP ", b"secret", b"Acme"):
        assert leak not in answer.content


def _corner_distance(shown: Image.Image) -> int:
    """How far the four corners are from those of the scene that was photographed, upright."""
    wanted = images.scene(*shown.size)
    width, height = shown.size
    corners = [(3, 3), (width - 4, 3), (width - 4, height - 4), (3, height - 4)]
    return max(
        abs(seen - meant)
        for place in corners
        for seen, meant in zip(_pixel(shown, place), _pixel(wanted, place), strict=True)
    )


def _pixel(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    pixel = image.getpixel(place)
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


def test_the_original_comes_back_byte_exact_by_stream(client: httpx2.Client, photo: Sent):
    content, file = photo

    answer = client.get(file["urls"]["content"])

    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_original_comes_back_byte_exact_by_ranges(client: httpx2.Client, photo: Sent):
    content, file = photo
    third = len(content) // 3
    ranges = [f"bytes=0-{third - 1}", f"bytes={third}-{2 * third - 1}", f"bytes={2 * third}-"]

    parts = [client.get(file["urls"]["content"], headers={"Range": wanted}) for wanted in ranges]

    assert [part.status_code for part in parts] == [206, 206, 206]
    assert b"".join(part.content for part in parts) == content
    assert parts[1].headers["content-range"] == f"bytes {third}-{2 * third - 1}/{len(content)}"


def test_the_original_comes_back_byte_exact_by_presigned_url_without_credentials(
    client: httpx2.Client, photo: Sent
):
    content, file = photo
    link = client.get(f"/v1/files/{file['id']}/url", params={"expires_in": 60}).json()

    answer = httpx2.get(link["url"], timeout=30)

    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-type"] == "image/jpeg"


def test_the_original_comes_back_byte_exact_by_redirect_without_credentials_at_its_target(
    client: httpx2.Client, photo: Sent
):
    content, file = photo
    redirect = client.get(file["urls"]["download"], follow_redirects=False)

    assert redirect.status_code == 307
    assert httpx2.get(redirect.headers["location"], timeout=30).content == content


def test_a_rendition_comes_by_presigned_url(client: httpx2.Client, photo: Sent):
    file = photo[1]
    link = client.get(f"/v1/files/{file['id']}/url", params={"rendition": "thumb"}).json()

    assert httpx2.get(link["url"], timeout=30).content == client.get(file["renditions"][0]["url"]).content


@pytest.mark.parametrize("what", ["original", "thumb", "large"])
def test_downloads_honour_ranges_and_conditions(client: httpx2.Client, photo: Sent, what: str):
    file = photo[1]
    urls = {rendition["name"]: rendition["url"] for rendition in file["renditions"]}
    url = urls.get(what, file["urls"]["content"])
    whole = client.get(url)
    size = len(whole.content)
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    past, later = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    table: list[tuple[dict[str, str], int, bytes]] = [
        ({}, 200, whole.content),
        ({"Range": "bytes=0-0"}, 206, whole.content[:1]),
        ({"Range": "bytes=5-14"}, 206, whole.content[5:15]),
        ({"Range": "bytes=-7"}, 206, whole.content[-7:]),
        ({"Range": f"bytes=10-{size * 2}"}, 206, whole.content[10:]),
        ({"Range": f"bytes=-{size * 2}"}, 206, whole.content),
        ({"Range": f"bytes={size}-"}, 416, b""),
        ({"Range": "bytes=-0"}, 416, b""),
        ({"Range": "bytes=9-2"}, 200, whole.content),
        ({"Range": "bytes=a-b"}, 200, whole.content),
        ({"Range": "lines=1-2"}, 200, whole.content),
        ({"If-None-Match": etag}, 304, b""),
        ({"If-None-Match": f'"other", W/{etag}'}, 304, b""),
        ({"If-None-Match": "*"}, 304, b""),
        ({"If-None-Match": '"other"'}, 200, whole.content),
        ({"If-None-Match": etag, "Range": "bytes=0-9"}, 304, b""),
        ({"If-Modified-Since": modified}, 304, b""),
        ({"If-Modified-Since": later}, 304, b""),
        ({"If-Modified-Since": past}, 200, whole.content),
        ({"If-Modified-Since": modified, "If-None-Match": '"other"'}, 200, whole.content),
        ({"If-Match": etag}, 200, whole.content),
        ({"If-Match": "*"}, 200, whole.content),
        ({"If-Match": '"other"'}, 412, b""),
        ({"If-Match": f"W/{etag}"}, 412, b""),
        ({"If-Unmodified-Since": past}, 412, b""),
        ({"If-Unmodified-Since": modified}, 200, whole.content),
        ({"If-Range": etag, "Range": "bytes=0-9"}, 206, whole.content[:10]),
        ({"If-Range": modified, "Range": "bytes=0-9"}, 206, whole.content[:10]),
        ({"If-Range": '"other"', "Range": "bytes=0-9"}, 200, whole.content),
        ({"If-Range": f"W/{etag}", "Range": "bytes=0-9"}, 200, whole.content),
        ({"If-Range": past, "Range": "bytes=0-9"}, 200, whole.content),
    ]

    answers = [client.get(url, headers=headers) for headers, _, _ in table]

    seen = [(row[0], answer.status_code) for row, answer in zip(table, answers, strict=True)]
    assert seen == [(headers, status) for headers, status, _ in table]
    for (headers, status, body), answer in zip(table, answers, strict=True):
        if status in {200, 206}:
            assert answer.content == body, headers
            assert (answer.headers["etag"], answer.headers["accept-ranges"]) == (etag, "bytes")
        if status == 304:
            assert (answer.content, answer.headers["etag"]) == (b"", etag)
        if status == 416:
            assert answer.headers["content-range"] == f"bytes */{size}"
            assert _problem(answer) == (416, "range-not-satisfiable")
        if status == 412:
            assert _problem(answer) == (412, "precondition-failed")


@pytest.mark.parametrize("what", ["original", "small"])
def test_head_says_what_get_would_without_a_body(client: httpx2.Client, photo: Sent, what: str):
    file = photo[1]
    urls = {rendition["name"]: rendition["url"] for rendition in file["renditions"]}
    url = urls.get(what, file["urls"]["content"])
    said = ("content-length", "content-type", "etag", "last-modified", "content-disposition", "accept-ranges")

    whole, head = client.get(url), client.head(url)

    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in said} == {name: whole.headers[name] for name in said}
    assert client.head(url, headers={"Range": "bytes=0-0"}).status_code == 200
    assert client.head(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert client.head(url, headers={"If-Match": '"other"'}).status_code == 412


def test_without_credentials_nothing_is_read_or_stored(configuration: Configuration, photo: Sent):
    file, base_url = photo[1], configuration.service.base_url
    before = configuration.objects.originals()

    assert httpx2.get(file["urls"]["content"]).status_code == 401
    assert _problem(httpx2.post(f"{base_url}/v1/files", files={"file": b"x"}))[0] == 401
    assert configuration.objects.originals() == before


def test_one_form_may_bring_several_files_and_fields(client: httpx2.Client):
    pictures = [images.jpeg(64, 48), images.webp(64, 48), images.gif(64, 48)]
    files = [
        ("one", ("a.jpg", pictures[0])),
        ("two", ("b.webp", pictures[1])),
        ("two", ("c.gif", pictures[2])),
    ]

    answer = client.post("/v1/files", files=files, data={"tags": ["red", "blue"], "custom": '{"trip": 7}'})

    assert answer.status_code == 201, answer.text
    items = answer.json()["items"]
    assert [item["filename"] for item in items] == ["a.jpg", "b.webp", "c.gif"]
    assert [item["sha256"] for item in items] == [hashlib.sha256(picture).hexdigest() for picture in pictures]
    assert answer.headers["location"].endswith(items[0]["id"])
    for item in items:
        assert (item["tags"], item["custom"]) == (["red", "blue"], {"trip": 7})
        assert _until_processed(client, item["id"])["status"] == "ready"


def test_one_bad_part_fails_the_form_and_nothing_of_it_stays(
    client: httpx2.Client, configuration: Configuration, max_file_bytes: int
):
    before = configuration.objects.originals()

    answer = client.post(
        "/v1/files",
        files=[("a", ("a.jpg", images.jpeg(64, 48))), ("b", ("b.bin", bytes(max_file_bytes + 1)))],
    )

    assert _problem(answer) == (413, "file-too-large")
    assert configuration.objects.originals() == before
    assert configuration.objects.unfinished() == set()


def test_a_raw_body_is_one_file(client: httpx2.Client):
    content = images.png_alpha(200, 100)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    headers = {"Content-Type": "image/png", "Repr-Digest": f"sha-256=:{digest}:"}

    answer = client.post("/v1/files", params={"filename": "pic.png"}, content=content, headers=headers)

    assert answer.status_code == 201, answer.text
    (file,) = answer.json()["items"]
    assert (file["filename"], file["content_type"], file["size"]) == ("pic.png", "image/png", len(content))
    assert _until_processed(client, file["id"])["status"] == "ready"


def test_a_japanese_file_name_comes_back(client: httpx2.Client):
    name = "夏の海 ①.jpg"

    file = _post(client, name, images.jpeg(64, 48))

    assert file["filename"] == name
    disposition = client.head(file["urls"]["content"]).headers["content-disposition"]
    assert "filename*=UTF-8''%E5%A4%8F%E3%81%AE%E6%B5%B7%20%E2%91%A0.jpg" in disposition


def test_text_named_as_a_jpeg_is_stored_as_the_text_it_is(client: httpx2.Client):
    file = _post(client, "note.jpg", b"Only words.\nNo picture.\n")

    assert (file["content_type"], file["status"], file["filename"]) == ("text/plain", "ready", "note.jpg")
    assert client.get(file["urls"]["content"]).content == b"Only words.\nNo picture.\n"


def test_an_empty_file_is_a_file(client: httpx2.Client):
    file = _post(client, "nothing.jpg", b"")

    assert (file["size"], file["status"]) == (0, "ready")
    assert file["sha256"] == hashlib.sha256(b"").hexdigest()
    answer = client.get(file["urls"]["content"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.get(file["urls"]["content"], headers={"Range": "bytes=0-"}).status_code == 416


FORM = "multipart/form-data; boundary=b"
PART = b"--b\r\nContent-Disposition: form-data; name="


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        (FORM, PART + b'"a"\r\n\r\nx\r\n--b--\r\n', "no-file"),
        (FORM, b"--b--\r\n", "no-file"),
        ("multipart/form-data", b"--b--\r\n", "malformed-multipart"),
        (FORM, b"hello", "malformed-multipart"),
        (FORM, PART + b'"f"; filename="a"\r\n\r\ncut off', "malformed-multipart"),
    ],
    ids=["no file", "no part", "no boundary", "no form", "cut off"],
)
def test_a_form_that_is_none_is_refused(
    client: httpx2.Client, configuration: Configuration, content_type: str, body: bytes, code: str
):
    before = configuration.objects.originals()

    answer = client.post("/v1/files", content=body, headers={"Content-Type": content_type})

    assert _problem(answer) == (400, code)
    assert configuration.objects.originals() == before


def _in_pieces(size_bytes: int) -> Iterator[bytes]:
    for _ in range(size_bytes // 65536):
        yield bytes(65536)
    yield bytes(size_bytes % 65536)


@pytest.mark.parametrize("how", ["form", "raw", "raw without a length"])
def test_a_file_over_the_limit_is_refused_and_leaves_nothing(
    client: httpx2.Client, configuration: Configuration, max_file_bytes: int, how: str
):
    before = configuration.objects.originals()
    too_much = max_file_bytes + 1

    answer = (
        client.post("/v1/files", files={"file": ("big.bin", bytes(too_much))})
        if how == "form"
        else client.post("/v1/files", content=bytes(too_much) if how == "raw" else _in_pieces(too_much))
    )

    assert _problem(answer) == (413, "file-too-large")
    assert answer.json()["limit_bytes"] == max_file_bytes
    assert configuration.objects.originals() == before
    assert configuration.objects.unfinished() == set()


def test_a_file_of_just_the_limit_is_taken(
    client: httpx2.Client, configuration: Configuration, max_file_bytes: int
):
    content = bytes(range(256)) * (max_file_bytes // 256)

    file = _post(client, "large.bin", content, "application/octet-stream")

    assert (file["size"], file["sha256"]) == (max_file_bytes, hashlib.sha256(content).hexdigest())
    assert client.get(file["urls"]["content"]).content == content
    assert configuration.objects.unfinished() == set()


def test_hostile_images_fail_with_a_reason_and_the_same_worker_goes_on(
    client: httpx2.Client, configuration: Configuration
):
    worker_pid = configuration.service.pids["worker"]
    hostile = {
        "truncated.jpg": (images.truncated_jpeg(), "unreadable-media"),
        "bomb.png": (images.png_header_bomb(30_000, 30_000), "image-too-many-pixels"),
        "noise.png": (b"\x89PNG\r\n\x1a\n" + bytes(1000), "unreadable-media"),
    }

    files = {name: _post(client, name, content) for name, (content, _) in hostile.items()}
    ended = {name: _until_processed(client, file["id"]) for name, file in files.items()}
    after = _until_processed(client, _post(client, "after.jpg", images.jpeg(320, 240))["id"])

    assert {name: (file["status"], file["status_reason"]["code"]) for name, file in ended.items()} == {
        name: ("failed", code) for name, (_, code) in hostile.items()
    }
    assert after["status"] == "ready"
    assert configuration.service.pids["worker"] == worker_pid
    for name, file in ended.items():
        assert client.get(file["urls"]["content"]).content == hostile[name][0]
        refused = client.get(f"/v1/files/{file['id']}/renditions/thumb/content")
        assert _problem(refused) == (404, "rendition-not-ready")
        assert refused.json()["file_status"] == "failed"


def test_delete_removes_every_object_of_the_file(client: httpx2.Client, configuration: Configuration):
    file = _until_processed(client, _post(client, "short-lived.jpg", images.jpeg(900, 700))["id"])
    other = _until_processed(client, _post(client, "other.jpg", images.jpeg(300, 200))["id"])
    assert len(configuration.objects.of_file(file["id"])) == 4

    assert client.delete(f"/v1/files/{file['id']}").status_code == 204

    for url in (file["urls"]["self"], file["urls"]["content"], file["renditions"][0]["url"]):
        assert _problem(client.get(url)) == (404, "not-found")
    configuration.service.wait_until(
        lambda: not configuration.objects.of_file(file["id"]), "all objects of the file are gone"
    )
    assert len(configuration.objects.of_file(other["id"])) == 4
