"""The pure tables: states, fates of errors, statuses of problems, sizes of parts, recipes."""

import itertools
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.files import lifecycle as files
from media_service.files.lifecycle import FileStatus
from media_service.jobs import lifecycle as jobs
from media_service.jobs.creation import LANES
from media_service.jobs.lifecycle import FINAL, JobStatus
from media_service.jobs.models import JobKind
from media_service.storage.limits import part_size_for
from media_service.storage.port import PartLimits
from media_service.transforms.spec import DEFAULT_PRESETS, Preset
from media_service.web.problem_catalogue import CATALOGUE, title_of
from media_service.web.problems import STATUS
from workers.jobs.run import HANDLERS
from workers.retries import (
    LIMITS,
    MAX_CRASHES,
    MAX_DELAY,
    TRANSIENT,
    Bury,
    GiveUp,
    History,
    Retry,
    delay_after,
    judge,
)

PACKAGE = Path(__file__).resolve().parents[2] / "media_service"


def test_every_state_of_a_file_says_where_it_leads():
    assert set(files.TRANSITIONS) == set(FileStatus)
    assert files.may_become(FileStatus.PROCESSING, FileStatus.READY)
    assert not files.may_become(FileStatus.READY, FileStatus.FAILED)
    assert not files.may_become(FileStatus.READY, FileStatus.PROCESSING)
    assert not any(files.may_become(FileStatus.QUARANTINED, target) for target in FileStatus)


def test_every_state_of_a_job_says_where_it_leads():
    assert set(jobs.TRANSITIONS) == set(JobStatus)
    assert not any(jobs.may_become(JobStatus.SUCCEEDED, target) for target in JobStatus)
    for final, target in itertools.product(FINAL, JobStatus):
        assert not jobs.may_become(final, target) or target is JobStatus.QUEUED


def test_every_kind_of_job_has_a_lane_and_a_handler():
    assert set(LANES) == set(JobKind) == set(HANDLERS)


def test_every_kind_of_error_has_a_status():
    assert set(STATUS) == set(ErrorKind)
    assert all(400 <= status < 600 for status in STATUS.values())


@pytest.mark.parametrize("kind", sorted(ErrorKind))
def test_every_kind_of_error_has_a_fate(kind: ErrorKind):
    error = MediaServiceError(kind, "x", "x")
    first, last = judge(error, History(1, 20)), judge(error, History(20, 20, crashes=100, deferrals=1000))
    if kind in TRANSIENT:
        assert isinstance(first, Retry)
        assert isinstance(last, Retry)
        assert not first.is_crash
    elif kind in LIMITS:
        assert isinstance(first, Retry)
        assert first.is_crash
        assert isinstance(last, Bury)
        limit = LIMITS[kind]
        assert isinstance(judge(error, History(19, 20, crashes=limit - 2)), Retry)
        assert isinstance(judge(error, History(19, 20, crashes=limit - 1)), Bury)
    else:
        assert isinstance(first, GiveUp)
        assert isinstance(last, GiveUp)


def test_error_that_nobody_foresaw_is_tried_as_often_as_a_crash():
    assert isinstance(judge(KeyError(), History(19, 20, crashes=MAX_CRASHES - 2)), Retry)
    assert isinstance(judge(KeyError(), History(19, 20, crashes=MAX_CRASHES - 1)), Bury)
    assert isinstance(judge(KeyError(), History(1, 1)), Bury)


def test_death_of_a_worker_is_no_crash_of_the_file():
    crash = MediaServiceError(ErrorKind.CRASHED, "x", "x")
    assert isinstance(judge(crash, History(15, 20)), Retry)


@given(st.integers(1, 10_000))
def test_delay_doubles_up_to_its_bound(attempts: int):
    delay = delay_after(attempts)
    full = min(timedelta(seconds=2 ** min(attempts - 1, 10)), MAX_DELAY)
    assert 0.75 * full <= delay <= full


@given(
    st.integers(1, 5 * 1024**4),
    st.sampled_from([PartLimits(8 * 1024**2, 5 * 1024**2, 10_000, 2), PartLimits(1024**2, 1, 1_000_000, 2)]),
)
def test_parts_are_few_enough_and_no_smaller_than_preferred(length_bytes: int, limits: PartLimits):
    size = part_size_for(limits, length_bytes=length_bytes)
    assert size >= limits.preferred_bytes
    assert -(-length_bytes // size) <= limits.max_count


def test_recipe_knows_all_that_decides_the_pixels_and_not_the_name():
    one = Preset(name="a", width_px=10, height_px=20)
    assert one.recipe == one.model_copy(update={"name": "b"}).recipe
    assert re.fullmatch(r"[0-9a-f]{16}", one.recipe)
    for change in ({"width_px": 11}, {"height_px": 21}, {"format": "jpeg"}, {"quality": 81}):
        assert one.model_copy(update=change).recipe != one.recipe


def test_default_presets_are_those_of_the_contract():
    shown = {preset.name: (preset.width_px, preset.height_px, preset.format) for preset in DEFAULT_PRESETS}
    assert shown == {
        "thumb": (256, 256, "webp"),
        "small": (800, 800, "webp"),
        "large": (1600, 1600, "webp"),
    }


NOT_FOR_CLIENTS = {
    "bad-object-key": "a defect of ours, never raised by a request",
    "bad-settings": "stops the start",
    "old-schema": "stops the start",
    "port-in-use": "stops the start",
    "broker-unavailable": "the doorbell keeps it from requests",
}


def raised_codes() -> set[str]:
    pattern = re.compile(r"""ErrorKind\.[A-Z_]+,\s*"([a-z0-9-]+)"|code="([a-z0-9-]+)\"""")
    found = itertools.chain.from_iterable(pattern.findall(path.read_text()) for path in PACKAGE.rglob("*.py"))
    return {one or other for one, other in found}


def test_every_problem_that_a_client_can_meet_has_a_page():
    missing = raised_codes() - set(CATALOGUE) - set(NOT_FOR_CLIENTS)
    assert missing == set()


def test_title_of_a_code_without_a_page_is_still_readable():
    assert title_of("some-new-code") == "Some new code"
