"""The job that makes one image on the fly: its claim, its fence, its failures, and what the sweeper sees."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete

from media_service.exceptions import ErrorKind
from media_service.files import queries as files
from media_service.files.lifecycle import FileStatus
from media_service.models import new_id
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key, rendition_key
from media_service.tables import File, Rendition
from media_service.transforms import queries
from media_service.transforms.grammar import ImageBounds, parse_options
from media_service.transforms.models import Transform
from tests.support import images
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.storages import HookedStorage, RaisingStorage
from tests.support.sweeping import sweep
from tests.support.workshop import Workshop
from workers.jobs.render_transform import render_transform

LEASE = timedelta(seconds=30)


def order(backend: Backend, file: File, options: str = "w_64,q_80,f_webp") -> str:
    """As the API asks for an image; returns its digest."""
    spec = parse_options(options, bounds=ImageBounds(), presets=())
    statement = queries.claim_to_ask(
        "sqlite" if backend.name.startswith("sqlite") else "postgresql",
        file.id,
        spec.digest,
        options=spec.options,
        lease=LEASE,
    )
    with backend.database.transaction() as session:
        assert session.execute(statement).first() is not None
        assert session.execute(statement).first() is None, "only one may ask"
    return spec.digest


def row_of(backend: Backend) -> Transform:
    [row] = backend.rows(Transform)
    return row


def make_again(backend: Backend) -> None:
    """As if the time of whoever holds the row were over."""
    with backend.database.transaction() as session:
        for row in session.query(Transform):
            row.busy_until_ms = 0


def test_render_stores_its_result_under_the_prefix_of_its_file(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, _ = add_image(backend, owner)
    digest = order(backend, file)
    render_transform(file.id, digest, workshop.context)
    row = row_of(backend)
    assert row.sha256 is not None
    assert row.key == rendition_key(file.id, recipe=digest, sha256=row.sha256)
    assert backend.keys() == {original_key(file.id), row.key}
    assert (row.content_type, row.width_px, row.height_px) == ("image/webp", 64, 48)
    assert (row.error_code, row.token) == (None, None)
    assert row.size_bytes == len(backend.read(row.key))
    assert list(workshop.context.scratch_root.iterdir()) == []


def test_message_that_comes_twice_makes_nothing_twice(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    digest = order(workshop.backend, file)
    render_transform(file.id, digest, workshop.context)
    without = replace(workshop.context, sandbox=None)  # type: ignore[arg-type]  # must not be asked
    render_transform(file.id, digest, without)
    assert row_of(workshop.backend).sha256 is not None


def test_message_for_nothing_does_nothing(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    render_transform(file.id, "0" * 16, workshop.context)
    render_transform(new_id(), "0" * 16, workshop.context)
    assert workshop.backend.rows(Transform) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [(images.truncated_jpeg(), "unreadable-media"), (images.png_header_bomb(), "image-too-many-pixels")],
)
def test_failure_is_recorded_and_not_tried_again_while_it_stands(
    owner: Owner, workshop: Workshop, data: bytes, code: str
):
    file, _ = add_image(workshop.backend, owner, data)
    digest = order(workshop.backend, file)
    render_transform(file.id, digest, workshop.context)
    row = row_of(workshop.backend)
    assert (row.error_kind, row.error_code, row.sha256) == (ErrorKind.UNPROCESSABLE, code, None)
    without = replace(workshop.context, sandbox=None)  # type: ignore[arg-type]  # must not be asked
    render_transform(file.id, digest, without)
    assert row_of(workshop.backend).error_code == code
    make_again(workshop.backend)
    order(workshop.backend, file)
    assert row_of(workshop.backend).error_code is None


def test_too_large_an_original_is_not_even_fetched(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    digest = order(workshop.backend, file)
    render_transform(file.id, digest, replace(workshop.context, max_source_bytes=10))
    assert row_of(workshop.backend).error_code == "image-too-many-bytes"


def test_outage_of_the_storage_is_remembered_for_seconds_only(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    digest = order(workshop.backend, file)
    away = StorageUnavailableError()
    with workshop.with_storage(RaisingStorage(workshop.backend.storage, "download", error=away)):
        render_transform(file.id, digest, workshop.context)
    row = row_of(workshop.backend)
    assert (row.error_kind, row.error_code) == (ErrorKind.UNAVAILABLE, "storage-unavailable")
    make_again(workshop.backend)
    render_transform(file.id, digest, workshop.context)
    assert row_of(workshop.backend).sha256 is not None


def test_original_with_other_bytes_than_were_uploaded_is_not_shown(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    workshop.backend.storage.put(file.key, images.jpeg(10, 10), content_type="image/jpeg")
    digest = order(workshop.backend, file)
    render_transform(file.id, digest, workshop.context)
    assert row_of(workshop.backend).error_code == "integrity"


def test_rendition_that_is_lost_is_no_reason_not_to_make_it_of_the_original(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, job = add_image(backend, owner, images.jpeg(2000, 1500))
    workshop.run(job.id)
    backend.storage.delete([row.key for row in backend.rows(Rendition)])
    digest = order(backend, file)
    render_transform(file.id, digest, workshop.context)
    assert row_of(backend).sha256 is not None


def test_worker_that_was_taken_over_publishes_nothing(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, _ = add_image(backend, owner)
    digest = order(backend, file)

    def take_over() -> None:
        make_again(backend)
        taken = queries.claim_to_make(file.id, digest, token=uuid4(), lease=LEASE)
        with backend.database.transaction() as session:
            assert session.execute(taken).first() is not None

    with workshop.with_storage(HookedStorage(backend.storage, "put_file", take_over)):
        render_transform(file.id, digest, workshop.context)
    row = row_of(backend)
    assert (row.sha256, row.error_code) == (None, None)


def test_file_deleted_while_its_image_is_made_keeps_no_object(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, _ = add_image(backend, owner)
    digest = order(backend, file)

    def delete_file() -> None:
        with backend.database.transaction() as session:
            session.execute(files.delete_file(file.id, version=1))
        backend.storage.delete([file.key])

    with workshop.with_storage(HookedStorage(backend.storage, "put_file", delete_file)):
        render_transform(file.id, digest, workshop.context)
    assert backend.keys() == set()
    assert backend.rows(Transform) == []


@pytest.mark.parametrize("status", [FileStatus.QUARANTINED])
def test_quarantined_watermark_is_not_used(owner: Owner, workshop: Workshop, status: FileStatus):
    backend = workshop.backend
    file, _ = add_image(backend, owner)
    mark, _ = add_image(backend, owner)
    with backend.database.transaction() as session:
        session.get_one(File, mark.id).status = status
    digest = order(backend, file, f"w_64,wm_{mark.id},q_80,f_webp")
    render_transform(file.id, digest, workshop.context)
    assert row_of(backend).error_code == "quarantined"


def test_sweeper_leaves_what_a_row_describes_and_takes_the_rest(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, job = add_image(backend, owner)
    workshop.run(job.id)
    digest = order(backend, file)
    render_transform(file.id, digest, workshop.context)
    before = backend.keys()
    assert sweep(backend) == {}
    assert backend.keys() == before
    with backend.database.transaction() as session:
        session.execute(delete(Transform))
    assert sweep(backend) == {"unowned_object": 1}
    assert len(backend.keys()) == len(before) - 1


def test_sweeper_leaves_a_file_alone_while_an_image_of_it_is_made(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    file, job = add_image(backend, owner)
    workshop.run(job.id)
    stray = rendition_key(file.id, recipe="0" * 16, sha256="1" * 64)
    backend.storage.put(stray, b"about to be described", content_type="image/webp")
    order(backend, file)
    assert sweep(backend) == {}
    make_again(backend)
    assert sweep(backend) == {"unowned_object": 1}
    assert stray not in set(backend.keys())


def test_row_is_found_by_its_file_and_digest_alone(owner: Owner, workshop: Workshop):
    file, _ = add_image(workshop.backend, owner)
    other, _ = add_image(workshop.backend, owner)
    digest = order(workshop.backend, file)
    render_transform(other.id, digest, workshop.context)
    assert row_of(workshop.backend).sha256 is None
    assert isinstance(file.id, UUID)
