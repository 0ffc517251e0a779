"""Neither a stale answer nor another owner's, whatever writes, races and Redis do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from redis import Redis

from media_service.models import new_id
from tests.support import direct, images
from tests.support.accounts import make_key
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem
from tests.support.valkey import ValkeyServer
from tests.support.workshop import Workshop

PUBLIC_URL = "https://media.example.org"
"""One for all processes: it shapes answers, so processes that differ in it share none."""
RACE_SECONDS = 3.0
LISTS: list[dict[str, Any]] = [
    {},
    {"limit": 1},
    {"order": "filename"},
    {"tag": "red"},
    {"q": "first"},
    {"kind": "image", "status": "failed"},
    {"status": "processing"},
    {"visibility": "public"},
]


@dataclass(frozen=True)
class Processes:
    """Two that share a cache, and one that has none and so always tells the truth."""

    first: ApiServer
    second: ApiServer
    honest: ApiServer


@pytest.fixture(scope="session")
def running(backend: Backend) -> Iterator[Processes]:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ApiServer(backend.settings, public_url=PUBLIC_URL, cache_ttl=ttl))
            for ttl in (3600, 3600, 0)
        ]
        yield Processes(*servers)


@pytest.fixture
def processes(running: Processes, clean_backend: Backend) -> Processes:
    return running


@pytest.fixture
def redis(valkey: ValkeyServer) -> Iterator[Redis]:
    with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
def owner(processes: Processes, clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()


@pytest.fixture
def stranger(processes: Processes, clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()


def upload(server: ApiServer, owner: Owner, data: bytes = b"words", **query: Any) -> str:
    answer = server.client.post("/v1/files", headers=owner.headers, content=data, params=query)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["items"][0]["id"])


def get(server: ApiServer, owner: Owner, path: str = "/v1/files", **query: Any) -> httpx2.Response:
    return server.client.get(path, headers=owner.headers, params=query)


def shown(server: ApiServer, owner: Owner, file_ids: list[str]) -> list[tuple[int, Any]]:
    """All that this owner can be shown: descriptions, and lists of every sort."""
    answers = [get(server, owner, f"/v1/files/{file_id}") for file_id in file_ids]
    answers += [get(server, owner, **query) for query in LISTS]
    return [(answer.status_code, _comparable(answer.json())) for answer in answers]


def _comparable(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "request_id"}


def hits(redis: Redis) -> int:
    return int(redis.info("stats")["keyspace_hits"])


def patch(server: ApiServer, owner: Owner, file_id: str, **changes: Any) -> None:
    answer = server.client.patch(f"/v1/files/{file_id}", headers=owner.headers, json=changes)
    assert answer.status_code == 200, answer.text


def replace(server: ApiServer, owner: Owner, file_id: str) -> None:
    body = {"filename": "put.txt", "visibility": "public", "tags": ["red"], "custom": {"a": [1]}}
    answer = server.client.put(f"/v1/files/{file_id}", headers=owner.headers, json=body)
    assert answer.status_code == 200, answer.text


def upload_form(server: ApiServer, owner: Owner) -> None:
    files = [("a", ("one.txt", b"1")), ("b", ("two.txt", b"2"))]
    assert server.client.post("/v1/files", headers=owner.headers, files=files).status_code == 201


def delete(server: ApiServer, owner: Owner, file_id: str) -> None:
    assert server.client.delete(f"/v1/files/{file_id}", headers=owner.headers).status_code == 204


def upload_directly(server: ApiServer, owner: Owner, data: bytes = b"words", **fields: Any) -> str:
    begun = direct.start(server, owner, len(data), **fields)
    # By the address of the process: the public one leads nowhere here.
    direct.send({**begun, "url": begun["url"].replace(PUBLIC_URL, server.base_url)}, data)
    assert direct.complete(server, owner, begun["id"]).status_code == 201
    return str(begun["id"])


def process(server: ApiServer, owner: Owner, file_id: str) -> None:
    assert server.client.post(f"/v1/files/{file_id}/process", headers=owner.headers).status_code == 202


Write = Callable[[ApiServer, Owner, str], Any]
WRITES: dict[str, Write] = {
    "upload of raw bytes": lambda server, owner, _: upload(server, owner, filename="first.txt", tags=["red"]),
    "upload by form": lambda server, owner, _: upload_form(server, owner),
    "direct upload": lambda server, owner, _: upload_directly(server, owner, filename="first.txt"),
    "new name": lambda server, owner, file_id: patch(server, owner, file_id, filename="aaa.jpg"),
    "new tags": lambda server, owner, file_id: patch(server, owner, file_id, tags=["red"]),
    "new visibility": lambda server, owner, file_id: patch(server, owner, file_id, visibility="public"),
    "new fields": lambda server, owner, file_id: patch(server, owner, file_id, custom={"n": 1}),
    "replacement": replace,
    "deletion": delete,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_shows_at_once_in_every_process(
    processes: Processes, owner: Owner, redis: Redis, write: Write
):
    file_ids = [upload(processes.first, owner, filename=name) for name in ("first.txt", "other.txt")]
    for server in (processes.first, processes.second):
        shown(server, owner, file_ids)
    kept = hits(redis)
    before = shown(processes.second, owner, file_ids)
    assert hits(redis) - kept == len(before)

    write(processes.first, owner, file_ids[0])
    truth = shown(processes.honest, owner, file_ids)
    assert truth != before
    for server in (processes.second, processes.first, processes.second):
        assert shown(server, owner, file_ids) == truth


@pytest.mark.parametrize(
    ("data", "status"), [(images.jpeg(64, 48), "ready"), (images.jpeg(64, 48)[:400], "failed")]
)
def test_what_a_worker_does_shows_at_once(
    processes: Processes, owner: Owner, workshop: Workshop, data: bytes, status: str
):
    file_ids = [upload(processes.first, owner, data, filename="first.jpg")]
    before = shown(processes.second, owner, file_ids)
    workshop.run_all()
    done = shown(processes.second, owner, file_ids)
    assert done[0][1]["status"] == status
    assert done == shown(processes.honest, owner, file_ids) != before
    process(processes.first, owner, file_ids[0])
    again = shown(processes.second, owner, file_ids)
    assert again == shown(processes.honest, owner, file_ids)
    assert again[0][1]["status"] == ("processing" if status == "failed" else "ready")
    workshop.run_all()
    assert shown(processes.second, owner, file_ids) == shown(processes.honest, owner, file_ids)


@pytest.mark.parametrize(
    ("sha256", "status"), [(None, "ready"), ("0" * 64, "failed")], ids=["hashed", "other bytes"]
)
def test_what_a_worker_finds_in_bytes_that_it_hashes_shows_at_once(
    processes: Processes, owner: Owner, workshop: Workshop, sha256: str | None, status: str
):
    file_ids = [upload_directly(processes.first, owner, filename="first.txt", sha256=sha256)]
    before = shown(processes.second, owner, file_ids)
    assert before[0][1]["status"] == "processing"
    workshop.run_all()
    done = shown(processes.second, owner, file_ids)
    assert done[0][1]["status"] == status
    assert done == shown(processes.honest, owner, file_ids) != before


def test_what_one_owner_was_shown_is_shown_to_no_other(
    processes: Processes, owner: Owner, stranger: Owner, clean_backend: Backend
):
    file_id = upload(processes.first, owner, filename="first.txt")
    for _ in range(2):
        assert get(processes.first, owner, f"/v1/files/{file_id}").status_code == 200
        assert len(get(processes.first, owner).json()["items"]) == 1
    assert_problem(get(processes.second, stranger, f"/v1/files/{file_id}"), 404, "not-found")
    assert get(processes.second, stranger).json()["items"] == []
    blind = clean_backend.add_owner(scopes=("files:write",))
    for path in ("/v1/files", f"/v1/files/{file_id}"):
        assert_problem(get(processes.second, blind, path), 403, "missing-scope", scope="files:read")
        assert_problem(processes.second.client.get(path), 401, "missing-credentials")


def test_admin_sees_changes_of_all_owners_at_once(processes: Processes, owner: Owner):
    file_id = upload(processes.first, owner, filename="first.txt")
    for number in range(3):
        patch(processes.first, owner, file_id, custom={"n": number})
        described = processes.second.client.get(f"/v1/files/{file_id}", headers=ADMIN).json()
        [listed] = processes.second.client.get("/v1/files", headers=ADMIN).json()["items"]
        assert described == listed == get(processes.honest, owner, f"/v1/files/{file_id}").json()


def test_credentials_that_ended_are_shown_nothing_that_is_kept(processes: Processes, owner: Owner):
    keeper = Owner(owner.id, make_key(processes.first, ADMIN, "files:read")[1])
    upload(processes.first, owner, filename="first.txt")
    for user in (owner, keeper):
        assert get(processes.first, user).status_code == get(processes.first, user).status_code == 200
    answer = processes.first.client.patch(f"/v1/users/{owner.id}", headers=ADMIN, json={"disabled": True})
    assert answer.status_code == 200
    assert_problem(get(processes.first, owner), 401, "invalid-credentials")


def test_no_reader_sees_what_is_older_than_the_start_of_its_request(processes: Processes, owner: Owner):
    file_id = upload(processes.first, owner, filename="first.txt")
    patch(processes.first, owner, file_id, custom={"n": 0})
    written, stop, stale, reads = [0], threading.Event(), [], [0]

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            patch(processes.first, owner, file_id, custom={"n": number})
            written[0] = number

    def read(server: ApiServer, path: str) -> None:
        kept: httpx2.Response | None = None
        with httpx2.Client(base_url=server.base_url, headers=owner.headers, timeout=30) as client:
            while not stop.is_set():
                least = written[0]
                known = {"If-None-Match": kept.headers["ETag"]} if kept is not None else {}
                answer = client.get(path, headers=known)
                kept = kept if answer.status_code == 304 and kept is not None else answer
                file = kept.json()["items"][0] if path == "/v1/files" else kept.json()
                reads[0] += 1
                if file["custom"]["n"] < least:
                    stale.append((path, file["custom"]["n"], least))

    readers = [
        threading.Thread(target=read, args=(server, path))
        for server in (processes.first, processes.second)
        for path in ("/v1/files", f"/v1/files/{file_id}")
    ]
    threads = [threading.Thread(target=write), *readers]
    for thread in threads:
        thread.start()
    time.sleep(RACE_SECONDS)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert stale == []
    assert written[0] > 5
    assert reads[0] > 20


def test_list_is_not_modified_until_a_file_is(processes: Processes, owner: Owner, stranger: Owner):
    file_id = upload(processes.first, owner, filename="first.txt")
    etags = {get(processes.first, owner, **query).headers["ETag"] for query in LISTS}
    assert len(etags) == len(LISTS)
    answer = get(processes.first, owner)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    known = {"If-None-Match": answer.headers["ETag"]}
    for server in (processes.first, processes.second, processes.honest):
        same = server.client.get("/v1/files", headers={**owner.headers, **known})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["ETag"] == answer.headers["ETag"]
        assert same.headers["Cache-Control"] == "private, no-cache"
        assert server.client.get("/v1/files", headers={**stranger.headers, **known}).status_code == 200
        assert server.client.get("/v1/files", headers={**ADMIN, **known}).status_code == 200
    patch(processes.first, owner, file_id, tags=["new"])
    for server in (processes.first, processes.second, processes.honest):
        assert server.client.get("/v1/files", headers={**owner.headers, **known}).status_code == 200


def test_description_is_not_modified_until_it_is(processes: Processes, owner: Owner):
    file_id = upload(processes.first, owner, filename="first.txt")
    path = f"/v1/files/{file_id}"
    for server in (processes.first, processes.second, processes.honest):
        for headers in (owner.headers, ADMIN):
            answer = server.client.get(path, headers=headers)
            assert answer.headers["Cache-Control"] == "private, no-cache"
            known = {**headers, "If-None-Match": answer.headers["ETag"]}
            assert server.client.get(path, headers=known).status_code == 304
    patch(processes.first, owner, file_id, tags=["new"])
    for server in (processes.first, processes.second, processes.honest):
        for headers in (owner.headers, ADMIN):
            known = {**headers, "If-None-Match": answer.headers["ETag"]}
            assert server.client.get(path, headers=known).status_code == 200


def keys_of(redis: Redis, owner: Owner) -> list[bytes]:
    return sorted(redis.scan_iter(f"media-cache:*:{owner.id.hex}:*"))


def test_bytes_in_redis_that_are_not_the_entry_are_never_served(
    processes: Processes, owner: Owner, stranger: Owner, redis: Redis
):
    file_id = upload(processes.first, owner, filename="first.txt")
    upload(processes.first, stranger, filename="theirs.txt")
    path = f"/v1/files/{file_id}"
    truth = [get(processes.honest, owner, where).json() for where in ("/v1/files", path)]
    get(processes.first, owner)
    get(processes.first, stranger)
    [their_key] = keys_of(redis, stranger)
    theirs = redis.get(their_key)
    assert theirs is not None
    for damage in (
        lambda _: theirs,
        lambda _: b"",
        lambda _: b"x",
        lambda _: b'{"items": [], "next_cursor": null}',
        lambda kept: kept[:-1],
        lambda kept: kept + b" ",
        lambda kept: kept.replace(b"first.txt", b"worst.txt"),
        lambda kept: kept[:4] + bytes(16) + kept[20:],
    ):
        for where in ("/v1/files", path):
            get(processes.first, owner, where)
        for key in keys_of(redis, owner):
            kept = redis.get(key)
            assert kept is not None
            redis.set(key, damage(kept))
        assert [get(processes.first, owner, where).json() for where in ("/v1/files", path)] == truth


def test_walk_through_many_pages_keeps_few_of_them_and_none_for_ever(
    processes: Processes, owner: Owner, redis: Redis
):
    upload(processes.first, owner, filename="first.txt")
    for number in range(200):
        assert get(processes.first, owner, q=str(number)).status_code == 200
    keys = keys_of(redis, owner)
    assert 32 < len(keys) <= 64
    assert all(0 < redis.pttl(key) <= 3_600_000 for key in keys)


def test_link_to_the_next_page_is_that_of_the_request(processes: Processes, owner: Owner):
    for name in "abc":
        upload(processes.first, owner, filename=name)
    links = [
        get(processes.first, owner, limit=1, order="filename", **more).links["next"]["url"]
        for more in ({}, {"unknown": "x"}, {})
    ]
    assert links[0] == links[2]
    assert "unknown=x" in links[1]


def test_bad_cursor_is_a_400_with_and_without_the_cache(processes: Processes, owner: Owner):
    for server in (processes.first, processes.first, processes.honest):
        assert_problem(get(server, owner, cursor="x"), 400, "bad-cursor")


def test_file_that_is_not_there_is_not_remembered_as_missing(processes: Processes, owner: Owner):
    path = f"/v1/files/{new_id()}"
    for _ in range(2):
        assert_problem(get(processes.first, owner, path), 404, "not-found")


def test_every_get_of_the_api_says_how_it_may_be_kept(processes: Processes, owner: Owner):
    file_id = upload(processes.first, owner, images.jpeg(16, 16), filename="first.jpg")
    server = processes.first
    job = server.client.post(f"/v1/files/{file_id}/process", headers=owner.headers).json()
    for path in (f"/v1/files/{file_id}/renditions", f"/v1/jobs/{job['id']}"):
        answer = get(server, owner, path)
        assert answer.headers["Cache-Control"] == "private, no-cache"
        known = {**owner.headers, "If-None-Match": answer.headers["ETag"]}
        assert server.client.get(path, headers=known).status_code == 304
    for path in ("/v1/me", f"/v1/files/{file_id}/url", f"/v1/files/{new_id()}", "/livez", "/readyz"):
        assert get(server, owner, path).headers["Cache-Control"] == "no-store"
    for path in ("/docs", "/redoc", "/problems", "/problems/not-found"):
        answer = server.client.get(path)
        assert answer.headers["Cache-Control"] == "no-cache"
        same = server.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (same.status_code, same.headers["Cache-Control"]) == (304, "no-cache")
