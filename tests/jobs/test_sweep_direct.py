"""What becomes of direct uploads and imports that nobody goes on with."""

from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import update

from media_service.dialects import now_ms
from media_service.storage.keys import original_key
from media_service.tables import DirectPart, DirectUpload, File, UploadSession
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.direct import complete, put, send, start
from tests.support.sweeping import HOUR, NOW, sweep


@pytest.fixture
def server(api_server: ApiServer, clean_backend: Backend) -> ApiServer:
    return api_server


def let_run_out(backend: Backend) -> None:
    with backend.database.transaction() as session:
        session.execute(update(UploadSession).values(lease_until_ms=now_ms() - 1000))


def test_upload_on_its_way_is_spared_without_any_process_that_renews_it(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    begun = start(server, owner, 4)
    send(begun, b"text")
    assert sweep(clean_backend, grace=NOW) == {}
    assert complete(server, owner, begun["id"]).status_code == 201


def test_session_outlives_the_moment_at_which_a_completion_may_begin_last(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    start(server, owner, 4)
    [upload], [session] = clean_backend.rows(DirectUpload), clean_backend.rows(UploadSession)
    margin = session.lease_until_ms / 1000 - upload.expires_at.timestamp()
    assert timedelta(minutes=59) < timedelta(seconds=margin) < timedelta(minutes=61)


def test_abandoned_upload_is_taken_with_its_parts(server: ApiServer, owner: Owner, clean_backend: Backend):
    send(start(server, owner, 4), b"text")
    let_run_out(clean_backend)
    assert sweep(clean_backend, grace=HOUR) == {"abandoned_upload": 1}
    assert clean_backend.leftovers() == {}
    assert [*clean_backend.rows(DirectUpload), *clean_backend.rows(DirectPart)] == []


def test_upload_that_died_between_its_object_and_its_file_is_taken(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    begun = start(server, owner, 4)
    send(begun, b"text")
    clean_backend.storage.put(original_key(UUID(begun["id"])), b"text", content_type="text/plain")
    let_run_out(clean_backend)
    assert sweep(clean_backend, grace=HOUR) == {"abandoned_upload": 1}
    assert clean_backend.leftovers() == {}


def test_part_that_comes_after_the_sweep_leaves_nothing_for_good(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    begun = start(server, owner, 4)
    let_run_out(clean_backend)
    sweep(clean_backend, grace=HOUR)
    late: httpx2.Response = put(begun["url"], b"late")
    assert late.status_code in {403, 404}
    assert complete(server, owner, begun["id"]).status_code == 404
    sweep(clean_backend, grace=NOW)
    assert clean_backend.leftovers() == {}


def test_completed_upload_is_left_alone(server: ApiServer, owner: Owner, clean_backend: Backend):
    begun = start(server, owner, 4)
    send(begun, b"text")
    complete(server, owner, begun["id"])
    assert sweep(clean_backend, grace=NOW) == {}
    assert [str(file.id) for file in clean_backend.rows(File)] == [begun["id"]]
