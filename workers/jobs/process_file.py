"""One job makes all presets of a file, its metadata and its placeholder. Worker room."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import structlog

from media_service.events.models import EventType, event
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.files import queries
from media_service.files.lifecycle import FileStatus
from media_service.files.models import File, Rendition
from media_service.files.processing import check_hashed
from media_service.jobs import queries as jobs
from media_service.jobs.lifecycle import JobStatus
from media_service.models import new_id, utc_now
from media_service.quotas.queries import touch
from media_service.storage.keys import rendition_key, renditions_prefix
from media_service.transforms.spec import Preset
from workers.jobs.context import ClaimedJob, FileGoneError, JobContext, LeaseLostError
from workers.processing.results import MadeRendition, ProcessedImage

log = structlog.get_logger(__name__)


def process_file(job: ClaimedJob, context: JobContext) -> None:
    """Fetch the original, make what is wanted in the sandbox, store it, publish all of it at once.

    Raises MediaServiceError for whatever went wrong; LeaseLostError and FileGoneError if the work is no
    longer wanted. Idempotent: a second run makes the same objects and rows.
    """
    file = _load(job, context)
    check_hashed(file)
    _check_size(file, context.max_source_bytes)
    presets = _wanted(job, context.presets)
    with TemporaryDirectory(prefix="job-", dir=context.scratch_root) as scratch:
        source = Path(scratch, "original")
        context.storage.download(file.key, source)
        _check_integrity(source, file)
        output = Path(scratch, "renditions")
        output.mkdir()
        made = context.sandbox.process_image(
            source, content_type=file.content_type, presets=presets, output_dir=output
        )
        for rendition in made.renditions:
            context.storage.put_file(
                _key(file.id, rendition), rendition.path, content_type=rendition.content_type
            )
    reach("job.rendered")
    try:
        replaced = _publish(job, context, made)
    except LeaseLostError:
        _discard_if_gone(file, context)
        raise
    reach("job.published")
    _discard(replaced, context)


def _load(job: ClaimedJob, context: JobContext) -> File:
    if job.file_id is None:
        raise FileGoneError
    with context.database.read() as session:
        file = session.scalars(queries.bare_file_by_id(job.file_id)).one_or_none()
    if file is None:
        raise FileGoneError
    return file


def _check_size(file: File, limit_bytes: int) -> None:
    """Raises MediaServiceError (unprocessable) before a byte is fetched."""
    if file.size_bytes > limit_bytes:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE,
            "image-too-many-bytes",
            f"Images of more than {limit_bytes} bytes are kept as they are, without renditions.",
            limit_bytes=limit_bytes,
        )


def _wanted(job: ClaimedJob, presets: Sequence[Preset]) -> list[Preset]:
    """The presets that the job names, or all; one that was configured away meanwhile is left out."""
    names = job.payload.get("renditions")
    return [preset for preset in presets if names is None or preset.name in names]


def _check_integrity(source: Path, file: File) -> None:
    """Never make anything of bytes that are not those that were uploaded.

    Raises MediaServiceError (damaged): a storage that gave wrong bytes once may give the right ones.
    """
    with source.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if sha256 != file.sha256:
        log.error("storage.bytes_damaged", key=file.key, size_bytes=source.stat().st_size)
        raise MediaServiceError(
            ErrorKind.DAMAGED, "integrity", "The storage gave other bytes than were uploaded."
        )


def _key(file_id: UUID, rendition: MadeRendition) -> str:
    return rendition_key(file_id, recipe=rendition.recipe, sha256=rendition.sha256)


def _publish(job: ClaimedJob, context: JobContext, made: ProcessedImage) -> list[str]:
    """Make everything visible in one transaction; returns the keys of objects that nothing describes now."""
    now = utc_now()
    assert job.file_id is not None  # noqa: S101 - _load would have raised
    rows = [_row(job.file_id, rendition) for rendition in made.renditions]
    with context.database.transaction() as session:
        # The fence comes first: whoever lost the lease must change nothing below.
        ended = jobs.finish(job.id, token=job.token, status=JobStatus.SUCCEEDED, at=now)
        if session.execute(ended).first() is None:
            raise LeaseLostError
        previous = {row.key for row in session.scalars(queries.renditions_of(job.file_id))}
        session.execute(queries.delete_renditions(job.file_id, [row.name for row in rows]))
        session.add_all(rows)
        session.flush()
        current = {row.key for row in session.scalars(queries.renditions_of(job.file_id))}
        described = {"media": made.metadata, "placeholder": made.placeholder}
        changed = queries.set_status(job.file_id, status=FileStatus.READY, at=now, described=described)
        if session.execute(changed).first() is None:
            raise FileGoneError
        about = {"owner_id": job.owner_id, "file_id": job.file_id}
        session.add_all([event(EventType.RENDITION_READY, **about, name=row.name) for row in rows])
        session.add(event(EventType.FILE_READY, **about))
        session.flush()
        session.execute(*touch(job.owner_id))
    return sorted(previous - current)


def _row(file_id: UUID, made: MadeRendition) -> Rendition:
    return Rendition(
        id=new_id(),
        file_id=file_id,
        name=made.name,
        recipe=made.recipe,
        content_type=made.content_type,
        width_px=made.width_px,
        height_px=made.height_px,
        size_bytes=made.size_bytes,
        sha256=made.sha256,
    )


def _discard_if_gone(file: File, context: JobContext) -> None:
    """If the file was deleted while it was processed, its purge may have come before our objects."""
    with context.database.read() as session:
        exists = session.scalars(queries.known_file_ids([file.id])).first() is not None
    if not exists:
        _discard([found.key for found in context.storage.list_objects(renditions_prefix(file.id))], context)


def _discard(keys: list[str], context: JobContext) -> None:
    """Remove objects that were replaced; what fails here is left to the sweeper."""
    try:
        context.storage.delete(keys)
    except MediaServiceError as error:
        log.warning("job.left_to_sweeper", code=error.code, objects=len(keys))
