"""From the upload to `ready` as a client sees it, with the real jobs and the real sandbox between."""

import io
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from media_service.jobs.lifecycle import JobStatus
from media_service.models import new_id
from media_service.tables import Job
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem
from tests.support.workshop import Workshop


def upload(server: ApiServer, owner: Owner, data: bytes) -> dict[str, Any]:
    answer = server.client.post("/v1/files", headers=owner.headers, content=data)
    file: dict[str, Any] = answer.json()["items"][0]
    return file


def describe(server: ApiServer, owner: Owner, file: dict[str, Any]) -> dict[str, Any]:
    answer = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers)
    described: dict[str, Any] = answer.json()
    return described


def test_photo_becomes_ready_upright_and_without_its_secrets(
    server: ApiServer, owner: Owner, workshop: Workshop
):
    original = images.jpeg(1200, 900, orientation=6)
    file = upload(server, owner, original)
    assert file["status"] == "processing"
    [job] = workshop.run_all()
    assert job.status is JobStatus.SUCCEEDED

    ready = describe(server, owner, file)
    assert (ready["status"], ready["status_reason"]) == ("ready", None)
    assert ready["etag"] != file["etag"]
    # `images.jpeg` stores the picture turned: as displayed it is 1200 x 900.
    assert (ready["metadata"]["width"], ready["metadata"]["height"]) == (1200, 900)
    assert ready["metadata"]["exif"]["make"] == "Acme"
    assert "gps" in ready["metadata"]["exif"]
    assert ready["metadata"]["duration"] is None
    assert set(ready["placeholder"]) == {"thumbhash", "color"}

    sizes = {item["name"]: (item["width"], item["height"]) for item in ready["renditions"]}
    assert sizes == {"thumb": (256, 192), "small": (800, 600), "large": (1200, 900)}
    for item in ready["renditions"]:
        assert item["url"].startswith(f"{server.base_url}/v1/files/{file['id']}/renditions/")
        data = server.client.get(item["url"], headers=owner.headers).content
        assert len(data) == item["size"]
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size) == ("WEBP", (item["width"], item["height"]))
        assert len(picture.getexif()) == 0
        assert b"secret" not in data
        red, green, blue = picture.convert("RGB").getpixel((4, 4))  # type: ignore[misc]  # three bands
        assert red > 120 > max(green, blue)
    listed = server.client.get(f"/v1/files/{file['id']}/renditions", headers=owner.headers)
    assert listed.json() == {"items": ready["renditions"]}
    content = server.client.get(f"/v1/files/{file['id']}/content", headers=owner.headers).content
    assert content == original


def test_original_can_be_read_before_anything_was_made(server: ApiServer, owner: Owner):
    original = images.jpeg(64, 48)
    file = upload(server, owner, original)
    path = f"/v1/files/{file['id']}"
    assert server.client.get(f"{path}/content", headers=owner.headers).content == original
    answer = server.client.get(f"{path}/renditions/thumb/content", headers=owner.headers)
    assert_problem(answer, 404, "rendition-not-ready", file_status="processing", status_reason=None)
    assert server.client.get(f"{path}/renditions", headers=owner.headers).json() == {"items": []}


HOSTILE = {
    "a truncated JPEG": (images.truncated_jpeg(), "unreadable-media"),
    "a PNG bomb": (images.png_header_bomb(), "image-too-many-pixels"),
    "a JPEG of its signature alone": (b"\xff\xd8\xff\xe0" + bytes(100), "unreadable-media"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_image_fails_with_a_reason_and_can_still_be_downloaded(
    server: ApiServer, owner: Owner, workshop: Workshop, name: str
):
    data, code = HOSTILE[name]
    file = upload(server, owner, data)
    [job] = workshop.run_all()
    assert (job.status, job.error_code) == (JobStatus.FAILED, code)
    failed = describe(server, owner, file)
    assert failed["status"] == "failed"
    assert failed["status_reason"]["code"] == code
    assert failed["status_reason"]["detail"]
    path = f"/v1/files/{file['id']}"
    assert server.client.get(f"{path}/content", headers=owner.headers).content == data
    answer = server.client.get(f"{path}/renditions/thumb/content", headers=owner.headers)
    assert_problem(answer, 404, "rendition-not-ready", file_status="failed")


def test_process_again_answers_202_with_a_job_that_can_be_followed(
    server: ApiServer, owner: Owner, workshop: Workshop
):
    file = upload(server, owner, images.jpeg(300, 200))
    workshop.run_all()
    answer = server.client.post(
        f"/v1/files/{file['id']}/process", headers=owner.headers, json={"renditions": ["thumb"]}
    )
    assert answer.status_code == 202
    job = answer.json()
    assert job == {
        "id": job["id"],
        "kind": "process_file",
        "lane": "uploads",
        "status": "queued",
        "attempts": 0,
        "deferrals": 0,
        "max_attempts": 20,
        "progress": 0.0,
        "error": None,
        "file_id": file["id"],
        "created_at": job["created_at"],
        "started_at": None,
        "finished_at": None,
    }
    assert describe(server, owner, file)["status"] == "ready"
    workshop.run_all()
    done = server.client.get(f"/v1/jobs/{job['id']}", headers=owner.headers).json()
    assert (done["status"], done["attempts"], done["progress"]) == ("succeeded", 1, 1.0)
    assert done["started_at"] <= done["finished_at"]
    names = [item["name"] for item in describe(server, owner, file)["renditions"]]
    assert names == ["thumb", "small", "large"]


def test_failed_file_that_is_processed_again_shows_as_processing(
    server: ApiServer, owner: Owner, workshop: Workshop
):
    file = upload(server, owner, images.truncated_jpeg())
    workshop.run_all()
    answer = server.client.post(f"/v1/files/{file['id']}/process", headers=owner.headers)
    assert answer.status_code == 202
    again = describe(server, owner, file)
    assert (again["status"], again["status_reason"]) == ("processing", None)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"renditions": ["nope"]}, 422, "unknown-preset"),
        ({"renditions": ["thumb", "nope"]}, 422, "unknown-preset"),
        ({"renditions": []}, 422, "invalid-request"),
        ({"renditions": "thumb"}, 422, "invalid-request"),
        ({"renditions": ["thumb"] * 51}, 422, "invalid-request"),
        ({"more": 1}, 422, "invalid-request"),
    ],
)
def test_bad_wish_for_processing_is_a_422(
    server: ApiServer, owner: Owner, clean_backend: Backend, body: dict[str, Any], status: int, code: str
):
    file = upload(server, owner, images.jpeg(8, 8))
    answer = server.client.post(f"/v1/files/{file['id']}/process", headers=owner.headers, json=body)
    problem = assert_problem(answer, status, code)
    if code == "unknown-preset":
        assert problem["presets"] == ["thumb", "small", "large"]
    assert len(clean_backend.rows(Job)) == 1


@pytest.mark.parametrize("data", [b"just words", b""])
def test_file_that_is_no_image_cannot_be_processed(server: ApiServer, owner: Owner, data: bytes):
    file = upload(server, owner, data)
    answer = server.client.post(f"/v1/files/{file['id']}/process", headers=owner.headers)
    assert_problem(answer, 422, "not-an-image")


def test_job_is_seen_by_its_owner_and_admins_alone(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend
):
    upload(server, owner, images.jpeg(8, 8))
    [job] = clean_backend.rows(Job)
    path = f"/v1/jobs/{job.id}"
    assert server.client.get(path, headers=owner.headers).status_code == 200
    assert server.client.get(path, headers=ADMIN).status_code == 200
    assert_problem(server.client.get(path, headers=stranger.headers), 404, "not-found")
    assert_problem(server.client.get(f"/v1/jobs/{new_id()}", headers=owner.headers), 404, "not-found")
    assert_problem(server.client.get(path), 401, "missing-credentials")
    keyless = clean_backend.add_owner(scopes=("files:read",))
    answer = server.client.get(path, headers=keyless.headers)
    assert_problem(answer, 403, "missing-scope", scope="jobs:read")


def test_error_of_a_job_is_shown_with_code_and_detail(server: ApiServer, owner: Owner, workshop: Workshop):
    upload(server, owner, images.truncated_jpeg())
    [job] = workshop.run_all()
    shown = server.client.get(f"/v1/jobs/{job.id}", headers=owner.headers).json()
    assert shown["status"] == "failed"
    assert shown["error"]["code"] == "unreadable-media"
    assert UUID(shown["file_id"]) == job.file_id


def test_deleted_file_leaves_nothing_once_its_purge_ran(
    server: ApiServer, owner: Owner, clean_backend: Backend, workshop: Workshop
):
    file = upload(server, owner, images.jpeg(64, 64))
    workshop.run_all()
    assert len(clean_backend.keys()) == 4
    server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers)
    workshop.run_all()
    assert clean_backend.keys() == set()
