"""Records of files while many change them at once: pages, filters, `If-Match`."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest

from media_service.files.lifecycle import FileKind, FileStatus
from media_service.files.ordering import FileOrder
from media_service.tables import File
from tests.api.test_file_search import ORDERS, upload
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.problems import assert_problem

OLD_FILES = 15


@contextmanager
def files_that_come_and_go(server: ApiServer, owner: Owner) -> Iterator[list[int]]:
    """Others upload and delete on all sides of what is there, while the block runs; counts what they did."""
    stop, done = threading.Event(), [0]

    def come_and_go() -> None:
        with httpx2.Client(base_url=server.base_url, headers=owner.headers, timeout=30) as client:
            for number in itertools.count():
                if stop.is_set():
                    return
                # Names before, between and after those that are there; sizes, too.
                query = {"filename": f"{'amz'[number % 3]}{number}.txt", "tags": "t"}
                made = client.post("/v1/files", params=query, content=b"x" * (number % 4))
                # 503: SQLite's one writer is wanted by many, and this machine may be busy.
                assert made.status_code in {201, 503}, made.text
                if made.status_code == 201 and number % 2:
                    gone = client.delete(f"/v1/files/{made.json()['items'][0]['id']}")
                    assert gone.status_code in {204, 503}, gone.text
                done[0] += made.status_code == 201

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not done[0] and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def walked(server: ApiServer, owner: Owner, **query: Any) -> list[dict[str, Any]]:
    """All files of a list by following its links."""
    found: list[dict[str, Any]] = []
    answer = server.client.get("/v1/files", headers=owner.headers, params=query)
    while True:
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if "next" not in answer.links:
            return found
        answer = server.client.get(answer.links["next"]["url"], headers=owner.headers)


@pytest.mark.parametrize("query", [{}, {"tag": "t"}, {"q": "txt"}])
@pytest.mark.parametrize("order", list(FileOrder))
def test_each_old_file_is_listed_exactly_once_while_others_come_and_go(
    server: ApiServer, owner: Owner, order: FileOrder, query: dict[str, str]
):
    old = [
        upload(server, owner, f"m{number // 2}.txt", b"x" * (number % 3), tags=["t"])
        for number in range(OLD_FILES)
    ]
    with files_that_come_and_go(server, owner) as done:
        pages = walked(server, owner, order=order.value, limit=2, **query)
    ids = [file["id"] for file in pages]
    assert len(ids) == len(set(ids))
    expected = sorted(old, key=ORDERS[order.removeprefix("-")], reverse=order.startswith("-"))
    old_ids = {file["id"] for file in old}
    assert [file_id for file_id in ids if file_id in old_ids] == [file["id"] for file in expected]
    assert done[0] > 0


def test_every_combination_of_filters_gives_the_files_that_pass_all_of_them(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    choices: dict[str, list[Any]] = {
        "visibility": ["private", "public"],
        "kind": [FileKind.IMAGE, FileKind.OTHER],
        "status": [FileStatus.READY, FileStatus.FAILED],
        "tag": ["red", "blue"],
    }
    wanted: dict[str, dict[str, str]] = {}
    for number, values in enumerate(itertools.product(*choices.values())):
        about = dict(zip(choices, map(str, values), strict=True))
        name = f"{number:02}.bin"
        file = upload(server, owner, name, visibility=about["visibility"], tags=["both", about["tag"]])
        wanted[name] = about
        with clean_backend.database.transaction() as session:
            row = session.get_one(File, UUID(file["id"]))
            row.kind, row.status = FileKind(about["kind"]), FileStatus(about["status"])
    for given in itertools.product(*([None, *map(str, values)] for values in choices.values())):
        query = {name: value for name, value in zip(choices, given, strict=True) if value is not None}
        found = walked(server, owner, limit=3, order="filename", **query)
        assert [file["filename"] for file in found] == [
            name for name, about in wanted.items() if query.items() <= about.items()
        ]


def test_link_to_the_next_page_keeps_the_whole_query(server: ApiServer, owner: Owner):
    for number in range(3):
        upload(server, owner, f"photo {number}.txt", tags=["a&b", "c"], visibility="public")
    query = {
        "status": "ready", "kind": "document", "visibility": "public", "tag": "a&b", "q": "photo +",
        "order": "-filename", "limit": "1",
    }  # fmt: skip
    answer = server.client.get("/v1/files", headers=owner.headers, params=query)
    cursor = answer.json()["next_cursor"]
    link = httpx2.URL(answer.links["next"]["url"])
    assert dict(link.params.multi_items()) == {**query, "cursor": cursor}
    assert [file["filename"] for file in walked(server, owner, **query)] == [
        f"photo {number}.txt" for number in (2, 1, 0)
    ]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_of_many_changes_with_one_etag_exactly_one_is_made(server: ApiServer, owner: Owner, method: str):
    file = upload(server, owner, "a.txt")
    racers = 8
    ready = threading.Barrier(racers)

    def change(number: int) -> httpx2.Response:
        body = {"filename": f"{number}.txt", "visibility": "private", "tags": [], "custom": {"n": number}}
        with httpx2.Client(base_url=server.base_url, timeout=30) as client:
            ready.wait(10)
            return client.request(
                method,
                f"/v1/files/{file['id']}",
                headers={**owner.headers, "If-Match": file["etag"]},
                json=body,
            )

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(change, range(racers)))
    [winner] = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer is not winner:
            assert_problem(answer, 412, "precondition-failed", etag='"2"')
    described = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers).json()
    assert described == winner.json()


def test_of_a_change_and_a_deletion_with_one_etag_exactly_one_is_done(server: ApiServer, owner: Owner):
    for _ in range(5):
        file = upload(server, owner, "a.txt")
        headers = {**owner.headers, "If-Match": file["etag"]}
        ready = threading.Barrier(2)

        def ask(method: str, path: str, body: Any, *, headers: Any = headers, ready: Any = ready) -> int:
            with httpx2.Client(base_url=server.base_url, timeout=30) as client:
                ready.wait(10)
                return client.request(method, path, headers=headers, json=body).status_code

        path = f"/v1/files/{file['id']}"
        with ThreadPoolExecutor(2) as pool:
            patched = pool.submit(ask, "PATCH", path, {"tags": ["x"]})
            deleted = pool.submit(ask, "DELETE", path, None)
        assert (patched.result(), deleted.result()) in {(200, 412), (404, 204)}


def test_changes_without_an_etag_are_all_made_one_after_the_other(server: ApiServer, owner: Owner):
    file = upload(server, owner, "a.txt")

    def change(number: int) -> int:
        with httpx2.Client(base_url=server.base_url, headers=owner.headers, timeout=30) as client:
            return client.patch(f"/v1/files/{file['id']}", json={"custom": {"n": number}}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(change, range(16))) == [200] * 16
    described = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers).json()
    assert described["etag"] == '"17"'
