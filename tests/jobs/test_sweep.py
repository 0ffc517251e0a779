"""The sweeper takes what nobody owns, and only that."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from media_service.auth.keys import generate_key
from media_service.auth.models import ApiKey, KeyOrigin, LoginSession
from media_service.files.queries import renditions_of_files
from media_service.models import new_id, utc_now
from media_service.quotas.queries import charge
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key, rendition_key
from media_service.tables import (
    Event,
    File,
    IdempotencyKey,
    Job,
    Rendition,
    UploadSession,
    UploadToken,
    User,
    WorkerProcess,
)
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, add_session
from tests.support.storages import RaisingStorage
from tests.support.sweeping import HOUR, NOW, make_sweeper, sweep
from tests.support.workshop import Workshop
from workers.jobs.sweep.claims import KEYS_KEPT, LOGINS_KEPT, TOKENS_KEPT
from workers.jobs.sweep.findings import Finding, Kind

PART_BYTES = 5 * 1024 * 1024


def begin_upload(backend: Backend, key: str) -> str:
    upload_id = backend.storage.create_upload(key, content_type="image/jpeg", part_size_bytes=PART_BYTES)
    backend.storage.put_part(key, upload_id, 1, b"some bytes")
    return upload_id


def open_uploads(backend: Backend) -> set[str]:
    return {upload.upload_id for upload in backend.storage.list_uploads()}


def test_sweep_of_a_tidy_service_takes_nothing(clean_backend: Backend, owner: Owner, workshop: Workshop):
    _, job = add_image(clean_backend, owner)
    workshop.run(job.id)
    keys = clean_backend.keys()
    assert sweep(clean_backend, grace=NOW) == {}
    assert clean_backend.keys() == keys


def test_upload_whose_process_died_is_taken_with_its_parts(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    key = original_key(session_id)
    upload_id = begin_upload(clean_backend, key)
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    assert sweep(clean_backend, grace=HOUR) == {"abandoned_upload": 1}
    assert clean_backend.leftovers() == {}


def test_upload_that_died_between_its_last_byte_and_the_commit_is_taken(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert sweep(clean_backend, grace=HOUR) == {"abandoned_upload": 1}
    assert clean_backend.leftovers() == {}


def test_living_upload_is_spared_however_old_it_is(clean_backend: Backend, owner: Owner):
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    upload_id = begin_upload(clean_backend, original_key(session_id))
    with clean_backend.database.transaction() as session:
        session.get_one(UploadSession, session_id).storage_upload_id = upload_id
    assert sweep(clean_backend, grace=NOW) == {}
    assert open_uploads(clean_backend) == {upload_id}
    assert [row.id for row in clean_backend.rows(UploadSession)] == [session_id]


def test_upload_that_no_session_knows_is_taken_after_the_grace(clean_backend: Backend):
    upload_id = begin_upload(clean_backend, original_key(new_id()))
    if not clean_backend.is_s3:  # moto says of every upload that it began in 2010
        assert sweep(clean_backend, grace=HOUR) == {}
        assert open_uploads(clean_backend) == {upload_id}
    assert sweep(clean_backend, grace=NOW) == {"unknown_upload": 1}
    assert open_uploads(clean_backend) == set()


def test_object_without_a_file_is_taken_after_the_grace(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    orphans = {
        original_key(new_id()),
        rendition_key(new_id(), recipe="0" * 16, sha256="1" * 64),
    }
    for key in orphans:
        clean_backend.storage.put(key, b"nobody's", content_type="text/plain")
    assert sweep(clean_backend, grace=HOUR) == {}
    assert orphans < clean_backend.keys()
    assert sweep(clean_backend, grace=NOW) == {"unowned_object": 2}
    assert clean_backend.keys() == {original_key(file.id)}


def test_object_of_a_living_session_is_spared(clean_backend: Backend, owner: Owner):
    # Completed in the storage, and its commit is on its way; S3 dates it from the start of the upload.
    session_id = add_session(clean_backend, owner, lease=timedelta(minutes=1))
    clean_backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    assert sweep(clean_backend, grace=NOW) == {}
    assert clean_backend.keys() == {original_key(session_id)}


def test_rendition_that_no_row_describes_is_taken_and_the_others_stay(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    file, job = add_image(clean_backend, owner)
    workshop.run(job.id)
    kept = clean_backend.keys()
    stray = rendition_key(file.id, recipe="0" * 16, sha256="f" * 64)
    clean_backend.storage.put(stray, b"replaced", content_type="image/webp")
    assert sweep(clean_backend, grace=NOW) == {"unowned_object": 1}
    assert clean_backend.keys() == kept


def test_rendition_of_a_file_at_work_is_left_alone(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    stored = rendition_key(file.id, recipe="0" * 16, sha256="f" * 64)
    clean_backend.storage.put(stored, b"about to be described", content_type="image/webp")
    assert sweep(clean_backend, grace=NOW) == {}


def test_sweep_of_many_objects_goes_on_where_it_stopped(
    clean_backend: Backend, owner: Owner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.sweep.walk.MAX_FOUND", 2)
    monkeypatch.setattr("workers.jobs.sweep.walk.BATCH", 2)
    add_image(clean_backend, owner)
    add_image(clean_backend, owner)
    for _ in range(5):
        clean_backend.storage.put(original_key(new_id()), b"orphan", content_type="text/plain")
    sweeper = make_sweeper(clean_backend)
    counts = [sweeper.run_round()[Kind.UNOWNED_OBJECT] for _ in range(8)]
    assert sum(counts) == 5
    assert max(counts) <= 2


def test_walk_through_everything_is_not_bounded_by_a_round(
    clean_backend: Backend, owner: Owner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("workers.jobs.sweep.walk.MAX_FOUND", 2)
    monkeypatch.setattr("workers.jobs.sweep.walk.BATCH", 2)
    add_image(clean_backend, owner)
    for _ in range(5):
        clean_backend.storage.put(original_key(new_id()), b"orphan", content_type="text/plain")
    for _ in range(5):
        add_session(clean_backend, owner, lease=timedelta(seconds=-1))
    found = list(make_sweeper(clean_backend).run_through(dry_run=False))
    assert Counter(finding.kind for finding in found) == {Kind.UNOWNED_OBJECT: 5, Kind.ABANDONED_UPLOAD: 5}
    assert list(make_sweeper(clean_backend).run_through(dry_run=False)) == []


def plant_everything(backend: Backend, owner: Owner, workshop: Workshop) -> None:
    """One thing of each kind, but for files of this machine."""
    lost, job = add_image(backend, owner)
    workshop.run(job.id)
    damaged, job = add_image(backend, owner)
    workshop.run(job.id)
    with backend.database.read() as session:
        renditions = session.scalars(renditions_of_files([damaged.id])).all()
    backend.storage.delete([lost.key, renditions[0].key])
    backend.storage.put(original_key(new_id()), b"orphan", content_type="text/plain")
    begin_upload(backend, original_key(new_id()))
    session_id = add_session(backend, owner, lease=timedelta(seconds=-1))
    backend.storage.put(original_key(session_id), b"whole", content_type="text/plain")
    with backend.database.transaction() as session:
        session.add(WorkerProcess(id=new_id(), host="h", missing_layers=[], alive_until_ms=0))
        past = {"token": new_id(), "fingerprint": "f", "made_ids": [], "until_ms": 0}
        session.add(IdempotencyKey(owner_id=owner.id, key="k", **past))
        session.add(upload_token(owner, expired_for=TOKENS_KEPT + timedelta(minutes=1)))
        session.add(api_key(owner, revoked_at=utc_now() - KEYS_KEPT - timedelta(minutes=1)))
        session.add(login(owner, expires_at=utc_now() - LOGINS_KEPT - timedelta(minutes=1)))
        session.execute(*charge(owner.id, size_bytes=1, files=0))


def upload_token(owner: Owner, *, expired_for: timedelta) -> UploadToken:
    token_id = new_id()
    return UploadToken(
        id=token_id,
        owner_id=owner.id,
        token_sha256=token_id.hex,
        content_types=["*/*"],
        max_files=1,
        expires_at=utc_now() - expired_for,
    )


def test_upload_tokens_are_kept_for_a_week_after_their_expiry(clean_backend: Backend, owner: Owner):
    ages = [TOKENS_KEPT + timedelta(minutes=1), TOKENS_KEPT - timedelta(minutes=1), timedelta(hours=-1)]
    tokens = [upload_token(owner, expired_for=age) for age in ages]
    kept = {token.id for token in tokens[1:]}
    with clean_backend.database.transaction() as session:
        session.add_all(tokens)
    assert sweep(clean_backend) == {"past_upload_token": 1}
    assert {row.id for row in clean_backend.rows(UploadToken)} == kept


def api_key(owner: Owner, **times: datetime) -> ApiKey:
    made = generate_key(owner_id=owner.id, name="x", scopes=["keys"], origin=KeyOrigin.API)
    for name, value in times.items():
        setattr(made.row, name, value)
    return made.row


def login(owner: Owner, *, expires_at: datetime, revoked_at: datetime | None = None) -> LoginSession:
    return LoginSession(user_id=owner.id, scopes=["keys"], expires_at=expires_at, revoked_at=revoked_at)


def test_api_keys_are_kept_for_a_month_and_logins_for_a_day_after_their_end(
    clean_backend: Backend, owner: Owner
):
    now, minute = utc_now(), timedelta(minutes=1)
    ended, ends = now - KEYS_KEPT - minute, now + minute
    past = [api_key(owner, revoked_at=ended), api_key(owner, expires_at=ended)]
    kept = [api_key(owner, revoked_at=ended + 2 * minute, expires_at=ends), api_key(owner)]
    over = now - LOGINS_KEPT - minute
    past_logins = [login(owner, expires_at=over), login(owner, expires_at=ends, revoked_at=over)]
    kept_logins = [login(owner, expires_at=ends), login(owner, expires_at=ends, revoked_at=now)]
    with clean_backend.database.transaction() as session:
        session.add_all([*past, *kept, *past_logins, *kept_logins])
    assert sweep(clean_backend) == {"past_api_key": 2, "past_login": 2}
    rows = {row.id for row in clean_backend.rows(ApiKey)}
    assert {row.id for row in kept} < rows
    assert rows.isdisjoint({row.id for row in past})
    assert {row.id for row in clean_backend.rows(LoginSession)} == {row.id for row in kept_logins}


def everything(backend: Backend) -> dict[str, object]:
    tables = (
        UploadSession, IdempotencyKey, UploadToken, ApiKey, LoginSession, WorkerProcess, Job, File, Rendition,
        Event, User,
    )  # fmt: skip
    rows = {table.__name__: [row.column_values() for row in backend.rows(table)] for table in tables}
    return {**rows, "objects": backend.keys(), "uploads": open_uploads(backend)}


def test_dry_run_finds_what_a_real_run_finds_and_changes_nothing(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    plant_everything(clean_backend, owner, workshop)
    before = everything(clean_backend)
    dry = list(make_sweeper(clean_backend).run_through(dry_run=True))
    assert everything(clean_backend) == before

    def names(findings: list[Finding]) -> list[tuple[str, str]]:
        return sorted((finding.kind.value, finding.name) for finding in findings)

    assert names(list(make_sweeper(clean_backend).run_through(dry_run=False))) == names(dry)
    assert {finding.kind for finding in dry} == set(Kind) - {Kind.LEFT_FILE}
    again = list(make_sweeper(clean_backend).run_through(dry_run=True))
    assert {finding.kind for finding in again} == {Kind.MISSING_BYTES}


def test_step_that_fails_leaves_the_others_their_turn(clean_backend: Backend, owner: Owner):
    orphan = original_key(new_id())
    clean_backend.storage.put(orphan, b"orphan", content_type="text/plain")
    away = RaisingStorage(clean_backend.storage, "list_uploads", error=StorageUnavailableError())
    with pytest.raises(StorageUnavailableError):
        sweep(clean_backend, storage=away)
    assert clean_backend.keys() == set()


def test_object_that_is_not_ours_by_its_name_is_left_alone(clean_backend: Backend):
    clean_backend.storage.put("originals/readme", b"by hand", content_type="text/plain")
    assert sweep(clean_backend, grace=NOW) == {}
    clean_backend.storage.delete(["originals/readme"])
