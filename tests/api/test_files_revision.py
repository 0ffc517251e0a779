"""`users.files_revision` rises with every change of what a description or a list of files shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from media_service.auth.models import Role, User
from media_service.files.lifecycle import FileStatus
from media_service.jobs.lifecycle import JobStatus
from media_service.tables import File
from tests.support import direct, images
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, get_file
from tests.support.workshop import Workshop


def revision(backend: Backend, owner: Owner) -> int:
    (user,) = [user for user in backend.rows(User) if user.id == owner.id]
    return user.files_revision


@contextmanager
def raising(backend: Backend, owner: Owner) -> Iterator[None]:
    """The block has to raise the revision."""
    before = revision(backend, owner)
    yield
    assert revision(backend, owner) > before


@contextmanager
def leaving(backend: Backend, owner: Owner) -> Iterator[None]:
    """The block changes nothing that is shown, and so must not raise the revision."""
    before = revision(backend, owner)
    yield
    assert revision(backend, owner) == before


def test_every_request_that_changes_files_raises_it(
    server: ApiServer, clean_backend: Backend, owner: Owner, stranger: Owner
):
    def ask(method: str, path: str, **body: Any) -> Any:
        answer = server.client.request(method, path, headers=owner.headers, **body)
        assert answer.status_code < 300, answer.text
        return answer

    with leaving(clean_backend, stranger):
        with raising(clean_backend, owner):
            file_id = ask("POST", "/v1/files", content=b"x").json()["items"][0]["id"]
        with raising(clean_backend, owner):
            ask("POST", "/v1/files", files={"f": ("a.bin", b"y")})
        path = f"/v1/files/{file_id}"
        with raising(clean_backend, owner):
            ask("PATCH", path, json={"tags": ["a"]})
        with raising(clean_backend, owner):
            ask("PATCH", path, json={"visibility": "public"})
        with raising(clean_backend, owner):
            replacement = {"filename": "b", "visibility": "private", "tags": [], "custom": {"a": 1}}
            ask("PUT", path, json=replacement)
        with raising(clean_backend, owner):
            ask("POST", f"{path}/revoke-urls")
        with leaving(clean_backend, owner):
            ask("PATCH", path, json={})
            ask("GET", path)
            ask("GET", "/v1/files")
        with raising(clean_backend, owner):
            ask("DELETE", path)


def test_change_by_an_admin_raises_it_for_the_owner(server: ApiServer, clean_backend: Backend, owner: Owner):
    admin = clean_backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    answer = server.client.post("/v1/files", headers=owner.headers, content=b"x")
    path = f"/v1/files/{answer.json()['items'][0]['id']}"
    with raising(clean_backend, owner), leaving(clean_backend, admin):
        server.client.patch(path, headers=admin.headers, json={"tags": ["by an admin"]})
    with raising(clean_backend, owner), leaving(clean_backend, admin):
        server.client.delete(path, headers=admin.headers)


def test_worker_that_publishes_or_gives_up_raises_it(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    good, job = add_image(clean_backend, owner)
    with raising(clean_backend, owner):
        assert workshop.run(job.id).status is JobStatus.SUCCEEDED
    assert status(clean_backend, good) is FileStatus.READY
    bad, job = add_image(clean_backend, owner, images.jpeg(8, 8)[:200])
    with raising(clean_backend, owner):
        workshop.run(job.id)
    assert status(clean_backend, bad) is FileStatus.FAILED


def test_direct_upload_raises_it_when_it_is_a_file_and_when_it_is_hashed(
    server: ApiServer, clean_backend: Backend, owner: Owner, workshop: Workshop
):
    for sha256, end in [(None, FileStatus.READY), ("0" * 64, FileStatus.FAILED)]:
        with leaving(clean_backend, owner):
            begun = direct.start(server, owner, 4, sha256=sha256)
            direct.send(begun, b"text")
        with raising(clean_backend, owner):
            assert direct.complete(server, owner, begun["id"]).status_code == 201
        with raising(clean_backend, owner):
            workshop.run_all()
        [file] = [file for file in clean_backend.rows(File) if str(file.id) == begun["id"]]
        assert file.status is end


def status(backend: Backend, file: File) -> FileStatus | None:
    found = get_file(backend, file.id)
    return found.status if found is not None else None


def test_processing_again_raises_it_when_the_state_of_the_file_changes(
    server: ApiServer, clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file, job = add_image(clean_backend, owner, images.jpeg(8, 8)[:200])
    workshop.run(job.id)
    assert status(clean_backend, file) is FileStatus.FAILED
    with raising(clean_backend, owner):
        answer = server.client.post(f"/v1/files/{file.id}/process", headers=owner.headers)
    assert answer.status_code == 202
    assert status(clean_backend, file) is FileStatus.PROCESSING
