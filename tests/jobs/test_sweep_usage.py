"""Counters of what users store that somebody else's hand has changed."""

from sqlalchemy import update

from media_service.auth.models import User
from media_service.quotas.queries import charge
from tests.support.backends import Backend, Owner
from tests.support.job_rows import add_image
from tests.support.sweeping import HOUR, make_sweeper, sweep
from workers.jobs.sweep.findings import Finding, Kind
from workers.jobs.sweep.usage import PAGE


def figures(backend: Backend, owner: Owner) -> tuple[int, int]:
    (user,) = [user for user in backend.rows(User) if user.id == owner.id]
    return user.stored_bytes, user.stored_files


def drift(backend: Backend, owner: Owner, *, size_bytes: int, files: int) -> None:
    with backend.database.transaction() as session:
        session.execute(*charge(owner.id, size_bytes=size_bytes, files=files))


def test_counter_that_is_wrong_is_counted_anew(clean_backend: Backend, owner: Owner):
    file, _ = add_image(clean_backend, owner)
    for size_bytes, files in ((1, 0), (0, 1), (-5, -1)):
        drift(clean_backend, owner, size_bytes=size_bytes, files=files)
        assert sweep(clean_backend, grace=HOUR) == {"wrong_usage": 1}
        assert figures(clean_backend, owner) == (file.size_bytes, 1)
    assert sweep(clean_backend, grace=HOUR) == {}


def test_counter_of_a_user_without_files_goes_back_to_nothing(clean_backend: Backend, owner: Owner):
    drift(clean_backend, owner, size_bytes=100, files=2)
    assert sweep(clean_backend, grace=HOUR) == {"wrong_usage": 1}
    assert figures(clean_backend, owner) == (0, 0)


def test_dry_run_names_the_user_and_corrects_nothing(clean_backend: Backend, owner: Owner):
    drift(clean_backend, owner, size_bytes=100, files=2)
    found = list(make_sweeper(clean_backend, grace=HOUR).run_through(dry_run=True))
    assert found == [Finding(Kind.WRONG_USAGE, str(owner.id))]
    assert figures(clean_backend, owner) == (100, 2)


def test_command_walks_all_users_and_a_round_only_some(clean_backend: Backend):
    owners = [clean_backend.add_owner() for _ in range(PAGE + 10)]
    with clean_backend.database.transaction() as session:
        ids = [owner.id for owner in owners]
        session.execute(update(User).where(User.id.in_(ids)).values(stored_files=1))
    sweeper = make_sweeper(clean_backend, grace=HOUR)
    first = sweeper.run_round()[Kind.WRONG_USAGE]
    assert 0 < first <= PAGE
    assert sweeper.run_round()[Kind.WRONG_USAGE] == len(owners) - first
    assert {figures(clean_backend, owner) for owner in owners} == {(0, 0)}
