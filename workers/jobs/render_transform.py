"""Makes one image on the fly. Worker room.

Its row is claim, order and record in one: whoever wants the image looks at the row, so a failure is written
there too, and holds for a while, that a broken picture is not decoded again for each request.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import structlog

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.faultpoints import reach
from media_service.files import queries as files
from media_service.files.access import check_downloadable
from media_service.files.models import File, Rendition
from media_service.models import utc_now
from media_service.storage.exceptions import ObjectNotFoundError
from media_service.transforms import queries
from media_service.transforms.grammar import ImageBounds, parse_options
from media_service.transforms.image_spec import ImageSpec, Watermark
from media_service.transforms.ladder import source_rendition
from media_service.transforms.models import Transform
from media_service.transforms.spec import MAX_RENDITION_SIDE_PX, PROCESSABLE_TYPES
from workers.jobs.context import FileGoneError, JobContext
from workers.jobs.process_file import check_integrity, check_size
from workers.processing.request import MARK_FILE
from workers.processing.results import MadeRendition

log = structlog.get_logger(__name__)

REMEMBERED = {ErrorKind.UNPROCESSABLE: timedelta(hours=1), ErrorKind.CRASHED: timedelta(minutes=1)}
"""How long a failure stands for the next who ask: the bytes of a file never change, a crash may pass."""
REMEMBERED_OUTAGE = timedelta(seconds=5)
"""Of whatever lies in the surroundings."""

MAX_MARK_SIDE_PX = 2048
"""A watermark is at most as wide as the result; beyond this it is enlarged, which shows on no screen."""

ANYTHING = ImageBounds(MAX_RENDITION_SIDE_PX, MAX_RENDITION_SIDE_PX**2, 500)
"""The API has checked the options against its own bounds; a row is read back as it was written."""


@dataclass(frozen=True, slots=True)
class _Claim:
    row: Transform
    token: UUID


def render_transform(file_id: UUID, digest: str, context: JobContext) -> None:
    """Make and store the image of a row, if nobody else has or does; record why, if it cannot be made.

    Raises MediaServiceError (unavailable) only if the database is away: the claim then runs out.
    """
    claim = _claim(file_id, digest, context)
    if claim is None:
        log.debug("render.not_claimed", file_id=str(file_id), digest=digest)
        return
    reach("render.claimed")
    with structlog.contextvars.bound_contextvars(file_id=str(file_id), digest=digest):
        try:
            _render(claim, context)
        except FileGoneError:
            log.info("render.file_gone")
        except MediaServiceError as error:
            log.warning("render.failed", code=error.code, cause=repr(error.__cause__))
            _record(error, claim, context)
        except Exception:
            log.exception("render.failed")
            unforeseen = MediaServiceError(ErrorKind.CRASHED, "internal-error", "Making the image broke.")
            _record(unforeseen, claim, context)


def _claim(file_id: UUID, digest: str, context: JobContext) -> _Claim | None:
    token = uuid4()
    statement = queries.claim_to_make(file_id, digest, token=token, lease=context.render_lease)
    with context.database.transaction() as session:
        row = session.scalars(statement).one_or_none()
    return None if row is None else _Claim(row, token)


def _render(claim: _Claim, context: JobContext) -> None:
    spec = parse_options(claim.row.options, bounds=ANYTHING, presets=())
    file = _load(claim.row.file_id, context)
    check_size(file, context.max_source_bytes)
    with TemporaryDirectory(prefix="render-", dir=context.scratch_root) as scratch:
        folder = Path(scratch)
        output = folder / "output"
        output.mkdir()
        if spec.watermark is not None:
            _fetch_mark(spec.watermark, file, folder, output, context)
        source, content_type = _fetch_source(spec, file, folder, context)
        made = context.sandbox.edit_image(source, content_type=content_type, spec=spec, output_dir=output)
        _store(made, claim, context)


def _load(file_id: UUID, context: JobContext) -> File:
    with context.database.read() as session:
        file = session.scalars(files.file_by_id(file_id)).one_or_none()
    if file is None:
        raise FileGoneError
    return file


def _fetch_source(spec: ImageSpec, file: File, folder: Path, context: JobContext) -> tuple[Path, str]:
    """The smallest stored picture that is good enough, as a file, and its type."""
    source = folder / "source"
    rendition = _good_rendition(spec, file)
    if rendition is not None:
        try:
            context.storage.download(rendition.key, source)
        except ObjectNotFoundError:
            log.warning("render.rendition_missing", key=rendition.key)  # replaced just now, or lost
        else:
            check_integrity(source, key=rendition.key, sha256=rendition.sha256)
            return source, rendition.content_type
    context.storage.download(file.key, source)
    check_integrity(source, key=file.key, sha256=file.sha256)
    return source, file.content_type


def _good_rendition(spec: ImageSpec, file: File) -> Rendition | None:
    width_px, height_px = file.media.get("width"), file.media.get("height")
    if not width_px or not height_px:
        return None  # not processed yet
    return source_rendition(
        spec,
        file.renditions,
        width_px=width_px,
        height_px=height_px,
        has_alpha=bool(file.media.get("has_alpha", True)),
    )


def _fetch_mark(mark: Watermark, file: File, folder: Path, output: Path, context: JobContext) -> None:
    """Put the watermark beside the result, decoded in a child of its own: no child reads two originals.

    Raises MediaServiceError (unprocessable): there is no such image of the file's owner.
    """
    with context.database.read() as session:
        found = session.scalars(files.bare_file_by_id(mark.file_id)).one_or_none()
    if found is None or found.owner_id != file.owner_id or found.content_type not in PROCESSABLE_TYPES:
        raise MediaServiceError(
            ErrorKind.UNPROCESSABLE, "no-such-watermark", "The owner of the file has no such image for 'wm'."
        )
    check_downloadable(found)
    check_size(found, context.max_source_bytes)
    source, made_in = folder / "mark", folder / "mark-output"
    context.storage.download(found.key, source)
    check_integrity(source, key=found.key, sha256=found.sha256)
    made_in.mkdir()
    spec = ImageSpec(width=MAX_MARK_SIDE_PX, height=MAX_MARK_SIDE_PX, format="png")
    made = context.sandbox.edit_image(source, content_type=found.content_type, spec=spec, output_dir=made_in)
    made.path.rename(output / MARK_FILE)


def _store(made: MadeRendition, claim: _Claim, context: JobContext) -> None:
    row = claim.row
    described = Transform(file_id=row.file_id, digest=row.digest, sha256=made.sha256)
    assert described.key is not None  # noqa: S101 - it has a digest
    context.storage.put_file(described.key, made.path, content_type=made.content_type)
    reach("render.stored")
    published = queries.publish(
        claim.token,
        file_id=row.file_id,
        digest=row.digest,
        at=utc_now(),
        content_type=made.content_type,
        width_px=made.width_px,
        height_px=made.height_px,
        size_bytes=made.size_bytes,
        sha256=made.sha256,
    )
    with context.database.transaction() as session:
        if session.execute(published).first() is not None:
            return
        exists = session.scalars(files.known_file_ids([row.file_id])).first() is not None
    if not exists:
        # Its purge may have come before our object. If another worker took over, the object may be its own.
        context.storage.delete([described.key])
        raise FileGoneError


def _record(error: MediaServiceError, claim: _Claim, context: JobContext) -> None:
    statement = queries.fail(
        claim.token,
        file_id=claim.row.file_id,
        digest=claim.row.digest,
        error=error,
        remembered_for=REMEMBERED.get(error.kind, REMEMBERED_OUTAGE),
    )
    with context.database.transaction() as session:
        session.execute(statement)
