"""A preset that was changed is made for files that are there, once, on a lane of its own."""

from dataclasses import replace

from media_service.broker.messages import Lane
from media_service.files.lifecycle import FileStatus
from media_service.jobs.lifecycle import JobStatus
from media_service.tables import Job, Rendition
from media_service.transforms.spec import DEFAULT_PRESETS, Preset
from tests.support import images
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image, change_job
from tests.support.workshop import Workshop
from workers.jobs import backfill as work

CHANGED = (Preset(name="thumb", width_px=100, height_px=100, fit="cover"), *DEFAULT_PRESETS[1:])


def backfill(backend: Backend, presets: tuple[Preset, ...] = CHANGED, *, dry_run: bool = False) -> int:
    pages = work.backfill(backend.database, presets, job_max_attempts=20, dry_run=dry_run)
    return sum(page.queued for page in pages)


def queued(backend: Backend) -> list[Job]:
    return [job for job in backend.rows(Job) if job.status is JobStatus.QUEUED]


def test_changed_preset_is_queued_once_for_each_file_and_made_by_workers(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    files = [add_image(backend, owner, images.jpeg(320, 240))[0] for _ in range(3)]
    workshop.run_all()
    assert backfill(backend, DEFAULT_PRESETS) == 0
    assert backfill(backend, dry_run=True) == 3
    assert queued(backend) == []
    assert backfill(backend) == 3
    assert backfill(backend) == 0  # a job is there
    jobs = queued(backend)
    assert {(job.lane, job.file_id) for job in jobs} == {(Lane.BACKFILL.value, file.id) for file in files}

    workshop.context = replace(workshop.context, presets=CHANGED)
    workshop.run(jobs[0].id)
    assert backfill(backend) == 0  # the rest still has its jobs
    workshop.run_all()
    assert backfill(backend) == 0
    thumbs = [row for row in backend.rows(Rendition) if row.name == "thumb"]
    assert [(row.width_px, row.height_px, row.recipe) for row in thumbs] == [
        (100, 100, CHANGED[0].recipe)
    ] * 3


def test_backfill_that_was_broken_off_goes_on_where_files_are_lacking(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    for _ in range(3):
        add_image(backend, owner, images.jpeg(32, 24))
    workshop.run_all()
    next(work.backfill(backend.database, CHANGED, job_max_attempts=20, dry_run=False))
    first, *_ = queued(backend)
    change_job(backend, first.id, status=JobStatus.CANCELLED)
    assert backfill(backend) == 1


def test_files_that_are_no_images_or_not_ready_are_left_alone(owner: Owner, workshop: Workshop):
    backend = workshop.backend
    add_image(backend, owner, b"plain words")
    broken, _ = add_image(backend, owner, images.truncated_jpeg())
    workshop.run_all()
    with backend.database.read() as session:
        assert session.get_one(type(broken), broken.id).status is FileStatus.FAILED
    assert backfill(backend) == 0


def test_recipe_is_that_of_before_where_nothing_new_is_used():
    assert [preset.recipe for preset in DEFAULT_PRESETS] == [
        preset.model_copy(update={"kinds": ()}).recipe for preset in DEFAULT_PRESETS
    ]
    assert DEFAULT_PRESETS[0].recipe == "c570d4448538ef43"
    assert DEFAULT_PRESETS[0].model_copy(update={"fit": "cover"}).recipe != DEFAULT_PRESETS[0].recipe
