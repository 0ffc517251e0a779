"""What must hold whatever happened: rows and objects against each other, and both against what was promised.

For a service at rest: its uploads are over and its queue is empty (`wait_until_settled`).
"""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from media_service.auth.models import User
from media_service.blocking_database import Database
from media_service.events.models import Event, EventType
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File
from media_service.jobs.lifecycle import FINAL
from media_service.jobs.models import Job
from media_service.transforms.models import Transform
from media_service.transforms.spec import DEFAULT_PRESETS, PROCESSABLE_TYPES
from media_service.uploads.models import UploadSession
from tests.support.objects import ObjectFacts
from tests.support.started import Configuration

SETTLE_SECONDS = 60
"""The issue's bound from a kill to the last photo's `ready`."""
ENDS = (EventType.FILE_READY, EventType.FILE_FAILED)


def wait_until_settled(configuration: Configuration, *, timeout_seconds: float = SETTLE_SECONDS) -> None:
    """Wait until every job has ended and the sweeper has taken what nobody owns. Raises ServiceError."""
    database = Database(configuration.database_url, pool_size=1)
    service, objects = configuration.service, configuration.objects
    try:
        service.wait_until(
            lambda: not _unfinished(database), "every job has ended", timeout_seconds=timeout_seconds
        )
        service.wait_until(
            lambda: objects.keys() == set(_owned(database, _files(database))) and not objects.unfinished(),
            "the storage holds what rows own, and nothing else",
            timeout_seconds=timeout_seconds,
        )
        service.wait_until(
            lambda: not _sessions(database), "no upload is left half-way", timeout_seconds=timeout_seconds
        )
    finally:
        database.close()


def check_invariants(configuration: Configuration, *, acknowledged: Mapping[str, bytes | str]) -> None:
    """Assert I1 to I5 of the service's invariants, and that usage adds up.

    `acknowledged` maps a file's id to its SHA-256 (hex).
    """
    database = Database(configuration.database_url, pool_size=1)
    try:
        files = _files(database)
        _check_durable_acknowledgement(files, acknowledged)
        _check_no_phantom_and_no_garbage(configuration, database, files)
        _check_terminal(database, files)
        _check_one_effect(database, files)
        _check_usage(configuration, database, files)
    finally:
        database.close()


def _check_durable_acknowledgement(files: list[File], acknowledged: Mapping[str, bytes | str]) -> None:
    """I1: whatever was acknowledged is there, with the bytes that were sent."""
    digests = {str(file.id): file.sha256 for file in files}
    assert {file_id: digests.get(file_id) for file_id in acknowledged} == dict(acknowledged)


def _check_no_phantom_and_no_garbage(
    configuration: Configuration, database: Database, files: list[File]
) -> None:
    """I2 and I3: objects are exactly those that rows own, whole; nothing half-done is left."""
    objects, owned = configuration.objects, _owned(database, files)
    keys = objects.keys()
    assert set(owned) - keys == set(), "rows without their object"
    assert keys - set(owned) == set(), "objects without a row"
    assert {key: objects.facts(key) for key in owned} == owned
    assert objects.unfinished() == set()
    assert _sessions(database) == []


def _check_terminal(database: Database, files: list[File]) -> None:
    """I4: nothing waits, and no file is in between."""
    assert _unfinished(database) == 0
    assert {file.status for file in files} <= {FileStatus.READY, FileStatus.FAILED}


def _check_one_effect(database: Database, files: list[File]) -> None:
    """I5: one rendition of each preset, one creation and one end in the history of each file."""
    presets = sorted(preset.name for preset in DEFAULT_PRESETS)
    for file in files:
        made = sorted(rendition.name for rendition in file.renditions)
        assert made == (presets if _is_processed(file) and file.status is FileStatus.READY else [])
    with database.read() as session:
        rows = session.execute(
            select(Event.file_id, Event.type, func.count()).group_by(Event.file_id, Event.type)
        )
        history: dict[UUID | None, Counter[str]] = {}
        for file_id, kind, count in rows:
            history.setdefault(file_id, Counter())[kind] = count
    for file in files:
        seen = history[file.id]
        assert seen[EventType.FILE_CREATED] == 1, (file.id, seen)
        assert sum(seen[kind] for kind in ENDS) == 1, (file.id, seen)
        assert seen[EventType.RENDITION_READY] == len(file.renditions), (file.id, seen)


def _check_usage(configuration: Configuration, database: Database, files: list[File]) -> None:
    """Each user's counters are the sums over the user's files, and no sweeper had to correct them."""
    real: dict[UUID, tuple[int, int]] = {}
    for file in files:
        size_bytes, count = real.get(file.owner_id, (0, 0))
        real[file.owner_id] = (size_bytes + file.size_bytes, count + 1)
    with database.read() as session:
        users = list(session.scalars(select(User)))
    counted = {user.id: (user.stored_bytes, user.stored_files) for user in users}
    assert counted == {user.id: real.get(user.id, (0, 0)) for user in users}, (
        "usage is not what files add up to"
    )
    assert "sweeper.usage_corrected" not in configuration.service.log, "usage was wrong for a while"


def _is_processed(file: File) -> bool:
    return file.content_type in PROCESSABLE_TYPES and file.size_bytes > 0


def _files(database: Database) -> list[File]:
    with database.read() as session:
        return list(session.scalars(select(File).options(selectinload(File.renditions))))


def _unfinished(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Job).where(Job.status.not_in(FINAL))) or 0


def _sessions(database: Database) -> list[UUID]:
    with database.read() as session:
        return list(session.scalars(select(UploadSession.id)))


def _owned(database: Database, files: list[File]) -> dict[str, ObjectFacts]:
    """Every object that a row describes, as it describes it."""
    owned = {file.key: ObjectFacts(file.size_bytes, file.sha256 or "") for file in files}
    for file in files:
        for rendition in file.renditions:
            owned[rendition.key] = ObjectFacts(rendition.size_bytes, rendition.sha256)
    with database.read() as session:
        for made in session.scalars(select(Transform)):
            if made.key is not None:
                owned[made.key] = ObjectFacts(made.size_bytes or 0, made.sha256 or "")
    return owned
