"""Imports by URL: what is fetched becomes a file, and nothing that should not be fetched is."""

import gzip
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from sqlalchemy import update

from media_service.auth.models import User
from media_service.imports.addresses import is_public
from media_service.jobs.creation import new_job
from media_service.jobs.lifecycle import JobStatus
from media_service.jobs.models import JobKind
from media_service.storage.exceptions import StorageUnavailableError
from media_service.storage.keys import original_key
from media_service.tables import File, Job, UploadSession
from media_service.uploads.policy import UploadPolicy
from tests.support import images
from tests.support.backends import Backend, Owner
from tests.support.other_server import Answer, OtherServer, answer_with, redirect_to
from tests.support.storages import RaisingStorage
from tests.support.workshop import Workshop
from workers.fetching.fetcher import Fetcher, FetchRules
from workers.fetching.guarded_network import resolve
from workers.jobs.context import ImportTools
from workers.retries import MAX_UNREACHABLE

PHOTO = images.jpeg(64, 48)
LIMIT = 20 * 1024 * 1024
LOOPBACK = ip_address("127.0.0.1")


def to_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """A resolver that says something else each time, as a rebinding one does."""
    left = iter(answers)
    return lambda _host, _port: next(left)


def queue(backend: Backend, owner: Owner, url: str, **payload: Any) -> Job:
    wanted: dict[str, Any] = {
        "url": url, "filename": None, "sha256": None, "visibility": "private", "tags": [], "custom": {},
    }  # fmt: skip
    job = new_job(
        JobKind.IMPORT_FILE,
        owner_id=owner.id,
        file_id=None,
        payload={**wanted, **payload},
        max_attempts=20,
        will_ring=False,
    )
    with backend.database.transaction() as session:
        session.add(job)
    return job


def set_quota(backend: Backend, owner: Owner, **quotas: int) -> None:
    with backend.database.transaction() as session:
        session.execute(update(User).where(User.id == owner.id).values(**quotas))


def row_of(backend: Backend, owner: Owner) -> User:
    [user] = [user for user in backend.rows(User) if user.id == owner.id]
    return user


def stored(backend: Backend, owner: Owner) -> tuple[int, int]:
    user = row_of(backend, owner)
    return user.stored_bytes, user.stored_files


def revision(backend: Backend, owner: Owner) -> int:
    return row_of(backend, owner).files_revision


def endless_of(data: bytes) -> Answer:
    """A body whose end is that of the connection."""

    def answer(_: str, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)

    return answer


def allow(workshop: Workshop, *ports: int, types: Sequence[str] = ("*/*",), **changes: Any) -> None:
    """Switch imports on; the loopback server of the tests counts as public."""
    rules = FetchRules(
        ports=ports,
        timeout=changes.pop("timeout", timedelta(seconds=20)),
        idle_timeout=changes.pop("idle_timeout", timedelta(seconds=5)),
    )
    guard = {"resolve": to_loopback, "allows": lambda address: address == LOOPBACK or is_public(address)}
    fetcher = Fetcher(rules, **{**guard, **changes})
    tools = ImportTools(fetcher, UploadPolicy(LIMIT, types))
    workshop.context = replace(workshop.context, imports=tools)


@pytest.fixture
def imported(
    clean_backend: Backend, owner: Owner, workshop: Workshop
) -> Iterator[Callable[..., tuple[Job, OtherServer]]]:
    """Import from a server that answers so; returns the job as it is then."""

    def run(
        answer: Answer, path: str = "/photo.jpg", payload: dict[str, Any] | None = None, **changes: Any
    ) -> tuple[Job, OtherServer]:
        with OtherServer(answer) as other:
            allow(workshop, other.port, **changes)
            job = queue(clean_backend, owner, other.url(path), **(payload or {}))
            return workshop.run(job.id), other

    yield run
    assert clean_backend.rows(UploadSession) == []
    assert list(clean_backend.storage.list_uploads()) == []
    assert clean_backend.keys() >= {original_key(file.id) for file in clean_backend.rows(File)}


def test_photo_becomes_a_file_and_is_processed(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, owner: Owner, workshop: Workshop
):
    job, other = imported(answer_with(PHOTO), payload={"tags": ["a"], "visibility": "public"})
    [file] = clean_backend.rows(File)
    assert (job.status, job.file_id) == (JobStatus.SUCCEEDED, file.id)
    assert (file.filename, file.content_type, file.size_bytes) == ("photo.jpg", "image/jpeg", len(PHOTO))
    assert (file.owner_id, file.tags, file.visibility.value) == (owner.id, ["a"], "public")
    assert file.sha256 == hashlib.sha256(PHOTO).hexdigest()
    assert clean_backend.read(original_key(file.id)) == PHOTO
    assert f"Host: files.example:{other.port}\r\n" in other.heads[0]
    assert "Accept-Encoding: identity\r\n" in other.heads[0]
    assert [job.kind for job in workshop.run_all()] == [JobKind.PROCESS_FILE]
    assert clean_backend.rows(File)[0].status.value == "ready"


def test_large_file_is_stored_in_parts(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend
):
    data = os.urandom(17 * 1024 * 1024)
    job, _ = imported(answer_with(data))
    assert job.status is JobStatus.SUCCEEDED
    assert clean_backend.read(original_key(clean_backend.rows(File)[0].id)) == data


def test_empty_file_is_a_file(imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend):
    job, _ = imported(answer_with(b""))
    assert job.status is JobStatus.SUCCEEDED
    assert clean_backend.rows(File)[0].size_bytes == 0


@pytest.mark.parametrize(
    ("headers", "path", "payload", "name"),
    [
        (['Content-Disposition: attachment; filename="b.jpg"'], "/a.jpg", {}, "b.jpg"),
        (['Content-Disposition: attachment; filename="../../etc/x"'], "/a.jpg", {}, "x"),
        ([], "/d/%C3%BC%2F..%2Fa.jpg?x=/y", {}, "a.jpg"),
        ([], "/", {}, "unnamed"),
        (['Content-Disposition: attachment; filename="b.jpg"'], "/a.jpg", {"filename": "c.jpg"}, "c.jpg"),
    ],
)
def test_name_is_the_wanted_one_or_the_servers_or_the_paths(
    imported: Callable[..., tuple[Job, OtherServer]],
    clean_backend: Backend,
    headers: list[str],
    path: str,
    payload: dict[str, Any],
    name: str,
):
    imported(answer_with(PHOTO, *headers), path, payload)
    assert [file.filename for file in clean_backend.rows(File)] == [name]


def test_three_redirects_are_followed_and_not_a_fourth(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend
):
    def answer(head: str, connection: socket.socket) -> None:
        step = int(head.split()[1].strip("/"))
        (answer_with(PHOTO) if step == 0 else redirect_to(f"/{step - 1}"))(head, connection)

    job, other = imported(answer, "/3")
    assert (job.status, len(other.heads)) == (JobStatus.SUCCEEDED, 4)
    job, other = imported(answer, "/4")
    assert (job.status, job.error_code, len(other.heads)) == (JobStatus.FAILED, "import-refused", 4)
    assert len(clean_backend.rows(File)) == 1


HOSTILE_HOSTS = {
    "loopback": "127.0.0.1",
    "localhost": "localhost",
    "decimal": "2130706433",
    "octal": "0177.0.0.1",
    "hex": "0x7f000001",
    "short": "127.1",
    "zero": "0",
    "metadata": "169.254.169.254",
    "mapped": "[::ffff:127.0.0.1]",
    "six": "[::1]",
    "nat64": "[64:ff9b::7f00:1]",
}


@pytest.mark.parametrize("host", HOSTILE_HOSTS.values(), ids=HOSTILE_HOSTS)
def test_nothing_is_fetched_from_an_address_that_is_not_public(
    clean_backend: Backend, owner: Owner, workshop: Workshop, host: str
):
    """With the resolver and the guard of production."""
    with OtherServer(answer_with(PHOTO)) as other:
        allow(workshop, other.port, resolve=resolve, allows=is_public)
        job = workshop.run(queue(clean_backend, owner, other.url(host=host)).id)
    assert (job.status, other.connections) == (JobStatus.FAILED, 0)
    assert job.error_code == "import-address-refused"
    assert clean_backend.leftovers().keys() == {"jobs"}


@pytest.mark.parametrize("host", HOSTILE_HOSTS.values(), ids=HOSTILE_HOSTS)
def test_nothing_is_fetched_after_a_redirect_to_an_address_that_is_not_public(
    clean_backend: Backend, owner: Owner, workshop: Workshop, host: str
):
    def resolve_all_but_the_first(name: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"] if name == "files.example" else resolve(name, port)

    first_answers = []

    def allows_the_first(address: Any) -> bool:
        first_answers.append(address)
        return len(first_answers) == 1 or is_public(address)

    with (
        OtherServer(answer_with(PHOTO)) as target,
        OtherServer(redirect_to(target.url(host=host))) as other,
    ):
        allow(
            workshop, other.port, target.port,
            resolve=resolve_all_but_the_first, allows=allows_the_first,
        )  # fmt: skip
        job = workshop.run(queue(clean_backend, owner, other.url()).id)
    assert (job.status, other.connections, target.connections) == (JobStatus.FAILED, 1, 0)
    assert job.error_code == "import-address-refused"


def test_name_that_is_bound_anew_leads_nowhere(clean_backend: Backend, owner: Owner, workshop: Workshop):
    """The address that was judged is the one that is connected to: nobody resolves a second time."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    with OtherServer(answer_with(PHOTO)) as other:
        allow(
            workshop, other.port, idle_timeout=timedelta(seconds=0.3),
            resolve=rebinding, allows=lambda address: address == ip_address("127.0.0.2"),
        )  # fmt: skip
        job = workshop.run(queue(clean_backend, owner, other.url()).id)
    assert (job.error_code, other.connections, asked) == ("import-unreachable", 0, ["files.example"])


def test_one_private_address_among_public_ones_refuses_all(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    with OtherServer(answer_with(PHOTO)) as other:
        allow(
            workshop, other.port,
            resolve=resolving(["93.184.216.34", "127.0.0.1"]), allows=is_public,
        )  # fmt: skip
        job = workshop.run(queue(clean_backend, owner, other.url()).id)
    assert (job.error_code, other.connections) == ("import-address-refused", 0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answer_with(b"x", length=LIMIT + 1), "file-too-large"),
        (answer_with(gzip.compress(bytes(10**6)), "Content-Encoding: gzip"), "import-refused"),
        (answer_with(b"no", status="404 Not Found"), "import-refused"),
        (answer_with(b"no", status="401 Unauthorized"), "import-refused"),
        (answer_with(b"", status="204 No Content"), "import-refused"),
        (answer_with(b"", status="302 Found"), "import-refused"),
        (redirect_to("ftp://files.example/x"), "import-url-refused"),
        (redirect_to("http://user:secret@files.example/"), "import-url-refused"),
        (redirect_to("http://files.example:22/"), "import-url-refused"),
    ],
    ids=str,
)
def test_what_will_not_change_fails_at_once(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, answer: Answer, code: str
):
    job, _ = imported(answer)
    assert (job.status, job.error_code, job.attempts) == (JobStatus.FAILED, code, 1)
    assert "secret" not in (job.error_detail or "")
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_body_without_end_is_cut_at_the_limit(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend
):
    sent = 0

    def answer(_: str, connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
        while True:
            sent += connection.send(bytes(1024 * 1024))

    job, _ = imported(answer)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "file-too-large")
    assert sent < 4 * LIMIT
    assert clean_backend.leftovers().keys() == {"jobs"}


def drip(head: bytes) -> Answer:
    """A byte now and then: always in time for the next, never for the whole."""

    def answer(_: str, connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"]
)
def test_server_that_drips_is_given_up(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, head: bytes
):
    begun = time.monotonic()
    job, _ = imported(drip(head), timeout=timedelta(seconds=1))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "import-too-slow")
    assert time.monotonic() - begun < 10
    assert clean_backend.leftovers().keys() == {"jobs"}


def silence(_: str, connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize(
    "answer",
    [
        answer_with(b"later", status="503 Service Unavailable"),
        answer_with(b"slow down", status="429 Too Many Requests"),
        answer_with(b"only this", length=1000),
        lambda _, connection: connection.sendall(b"this is no HTTP\r\n\r\n"),
        silence,
    ],
    ids=["503", "429", "short", "nonsense", "silence"],
)
def test_what_may_pass_is_tried_again(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, answer: Answer
):
    job, _ = imported(answer, idle_timeout=timedelta(seconds=0.5))
    assert (job.status, job.error_code, job.crashes) == (JobStatus.QUEUED, "import-unreachable", 1)
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_server_that_stays_away_ends_as_a_dead_letter(
    clean_backend: Backend, owner: Owner, workshop: Workshop
):
    allow(workshop, 9, idle_timeout=timedelta(seconds=0.5))  # nobody listens there
    job = queue(clean_backend, owner, "http://files.example:9/")
    with clean_backend.database.transaction() as session:
        session.get_one(Job, job.id).crashes = MAX_UNREACHABLE - 1
    assert workshop.run(job.id).status is JobStatus.DEAD


@pytest.mark.parametrize("framing", ["length", "no length"])
def test_import_that_does_not_fit_the_quota_fails_for_good_and_leaves_nothing(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, owner: Owner, framing: str
):
    set_quota(clean_backend, owner, quota_bytes=999)
    answer = answer_with(b"x" * 1000) if framing == "length" else endless_of(b"x" * 1000)
    job, _ = imported(answer)
    assert (job.status, job.error_code, job.attempts) == (JobStatus.FAILED, "quota-exceeded", 1)
    assert clean_backend.rows(File) == []
    assert clean_backend.keys() == set()
    assert stored(clean_backend, owner) == (0, 0)


def test_import_is_charged_and_shows_at_once(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, owner: Owner
):
    set_quota(clean_backend, owner, quota_bytes=1000, quota_files=1)
    before = revision(clean_backend, owner)
    job, _ = imported(answer_with(b"x" * 1000))
    assert job.status is JobStatus.SUCCEEDED
    assert stored(clean_backend, owner) == (1000, 1)
    assert revision(clean_backend, owner) > before
    job, _ = imported(answer_with(b""))
    assert (job.status, job.error_code) == (JobStatus.FAILED, "quota-exceeded")


def test_name_that_does_not_resolve_is_tried_again(clean_backend: Backend, owner: Owner, workshop: Workshop):
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    allow(workshop, 80, resolve=unknown)
    job = workshop.run(queue(clean_backend, owner, "http://files.example/").id)
    assert (job.status, job.error_code) == (JobStatus.QUEUED, "import-unreachable")


def test_type_that_is_not_taken_leaves_nothing(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend
):
    job, _ = imported(answer_with(b"text", "Content-Type: image/png"), types=["image/*"])
    assert (job.status, job.error_code) == (JobStatus.FAILED, "unsupported-media-type")
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_other_digest_than_announced_leaves_nothing(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend
):
    job, _ = imported(answer_with(PHOTO), payload={"sha256": "0" * 64})
    assert (job.status, job.error_code) == (JobStatus.FAILED, "digest-mismatch")
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_storage_that_is_away_is_waited_for(clean_backend: Backend, owner: Owner, workshop: Workshop):
    storage = RaisingStorage(clean_backend.storage, "put", error=StorageUnavailableError())
    with OtherServer(answer_with(PHOTO)) as other:
        allow(workshop, other.port)
        job = queue(clean_backend, owner, other.url())
        with workshop.with_storage(storage):
            assert workshop.run(job.id).deferrals == 1
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_user_who_was_disabled_meanwhile_gets_no_file(
    imported: Callable[..., tuple[Job, OtherServer]], clean_backend: Backend, owner: Owner
):
    from media_service.auth.models import User
    from media_service.models import utc_now

    def answer(head: str, connection: socket.socket) -> None:
        with clean_backend.database.transaction() as session:
            session.get_one(User, owner.id).disabled_at = utc_now()
        answer_with(PHOTO)(head, connection)

    job, _ = imported(answer)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "user-disabled")
    assert clean_backend.leftovers().keys() == {"jobs"}


def test_import_that_is_off_fails(clean_backend: Backend, owner: Owner, workshop: Workshop):
    job = workshop.run(queue(clean_backend, owner, "http://files.example/").id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "imports-disabled")
