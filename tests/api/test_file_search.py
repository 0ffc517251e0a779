"""Finding files: by words, by tags, and in other orders than that of time."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem

ORDERS = {
    "filename": lambda file: (file["filename"], file["id"]),
    "size": lambda file: (file["size"], file["id"]),
    "created_at": lambda file: file["id"],
}


def upload(
    server: ApiServer, owner: Owner, filename: str, data: bytes = b"words", **query: Any
) -> dict[str, Any]:
    answer = server.client.post(
        "/v1/files", headers=owner.headers, content=data, params={"filename": filename, **query}
    )
    assert answer.status_code == 201
    file: dict[str, Any] = answer.json()["items"][0]
    return file


def found(server: ApiServer, headers: dict[str, str], **query: Any) -> list[str]:
    """The names found, read in pages of two."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = server.client.get("/v1/files", headers=headers, params={**query, **cursor, "limit": 2})
        assert answer.status_code == 200, answer.text
        names += [item["filename"] for item in answer.json()["items"]]
        if answer.json()["next_cursor"] is None:
            return names
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.fixture
def album(server: ApiServer, owner: Owner) -> Owner:
    upload(server, owner, "Beach Holiday 2026.txt", tags=["sea", "Summer Days"])
    upload(server, owner, "holidays.txt", tags=["summer"])
    upload(server, owner, "日本の写真.txt", tags=["旅行"])
    upload(server, owner, "Café menu.txt")
    return owner


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("holiday", ["holidays.txt", "Beach Holiday 2026.txt"]),
        ("HOLIDAY beach", ["Beach Holiday 2026.txt"]),
        ("holid", ["holidays.txt", "Beach Holiday 2026.txt"]),
        ("holid beach", []),
        ("summer", ["holidays.txt", "Beach Holiday 2026.txt"]),
        ("summer days", ["Beach Holiday 2026.txt"]),
        ("days 2026 summer", ["Beach Holiday 2026.txt"]),
        ("写真", ["日本の写真.txt"]),
        ("写", ["日本の写真.txt"]),
        ("旅行 日本", ["日本の写真.txt"]),
        ("真写", []),
        ("cafe", ["Café menu.txt"]),
        ("CAFÉ", ["Café menu.txt"]),
        ("txt", ["Café menu.txt", "日本の写真.txt", "holidays.txt", "Beach Holiday 2026.txt"]),
        ("  ", ["Café menu.txt", "日本の写真.txt", "holidays.txt", "Beach Holiday 2026.txt"]),
        ("#sea", ["Beach Holiday 2026.txt"]),
        ("nowhere", []),
        ("%", []),
        ("' OR 1=1 --", []),
        ("\x00", []),
        ("a" * 200, []),
    ],
)
def test_words_find_the_files_that_have_all_of_them(
    server: ApiServer, album: Owner, query: str, names: list[str]
):
    assert found(server, album.headers, q=query) == names


def test_words_tag_and_filters_combine(server: ApiServer, album: Owner):
    assert found(server, album.headers, q="holiday", tag="sea") == ["Beach Holiday 2026.txt"]
    assert found(server, album.headers, q="holiday", tag="sea", visibility="public") == []
    assert found(server, album.headers, q="summer", kind="document", order="created_at") == [
        "Beach Holiday 2026.txt",
        "holidays.txt",
    ]


@pytest.mark.parametrize("tag", ["sea", 'quo"te', "日本", "a,b", "[]", "\\", "'", "%", "null", "x" * 100])
def test_tag_is_found_as_it_is_and_nothing_like_it(server: ApiServer, owner: Owner, tag: str):
    upload(server, owner, "it", tags=["other", tag])
    assert found(server, owner.headers, tag=tag) == ["it"]
    for wrong in (tag[:-1] or "y", tag.upper() if tag.upper() != tag else "z", "oth"):
        assert found(server, owner.headers, tag=wrong) == []


def test_nobody_finds_the_files_of_others_and_an_admin_finds_all(
    server: ApiServer, album: Owner, stranger: Owner
):
    upload(server, stranger, "holiday of a stranger.txt", tags=["sea"])
    assert found(server, stranger.headers, q="holiday") == ["holiday of a stranger.txt"]
    assert found(server, stranger.headers, tag="sea") == ["holiday of a stranger.txt"]
    assert found(server, ADMIN, tag="sea") == ["holiday of a stranger.txt", "Beach Holiday 2026.txt"]
    assert len(found(server, ADMIN, q="holiday")) == 3


def test_changed_name_and_tags_are_found_and_the_old_ones_are_not(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file = upload(server, owner, "old name.txt", tags=["old"])
    server.client.patch(
        f"/v1/files/{file['id']}", headers=owner.headers, json={"filename": "new.txt", "tags": ["fresh"]}
    )
    assert found(server, owner.headers, q="new") == ["new.txt"]
    assert found(server, owner.headers, tag="fresh") == ["new.txt"]
    assert found(server, owner.headers, q="old") == found(server, owner.headers, tag="old") == []
    server.client.patch(
        f"/v1/files/{file['id']}", headers=owner.headers, json={"filename": "---", "tags": []}
    )
    assert found(server, owner.headers, q="new") == found(server, owner.headers, tag="fresh") == []


def test_deleted_file_leaves_no_words(server: ApiServer, owner: Owner, clean_backend: Backend):
    file = upload(server, owner, "gone.txt", tags=["t"])
    assert server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers).status_code == 204
    with clean_backend.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM file_terms")) == 0


@pytest.mark.parametrize("order", [*ORDERS, *(f"-{order}" for order in ORDERS)])
@pytest.mark.parametrize("query", [{}, {"tag": "t"}, {"q": "txt"}])
def test_every_order_pages_without_gap_or_repetition(
    server: ApiServer, owner: Owner, order: str, query: dict[str, str]
):
    # Equal names and sizes on both sides of a page's end.
    files = [
        upload(server, owner, f"{number // 3}.txt", b"x" * (number % 2), tags=["t"]) for number in range(7)
    ]
    expected = sorted(files, key=ORDERS[order.removeprefix("-")], reverse=order.startswith("-"))
    seen: list[str] = []
    url: str | None = "/v1/files"
    params: dict[str, Any] | None = {**query, "order": order, "limit": 2}
    while url is not None:
        answer = server.client.get(url, headers=owner.headers, params=params)
        seen += [item["id"] for item in answer.json()["items"]]
        url = answer.links["next"]["url"] if "next" in answer.links else None
        params = None
    assert seen == [file["id"] for file in expected]


def test_page_in_order_of_names_stays_right_while_files_come_and_go(server: ApiServer, owner: Owner):
    files = {name: upload(server, owner, name) for name in "acegi"}
    query: dict[str, Any] = {"order": "filename", "limit": 2}
    first = server.client.get("/v1/files", headers=owner.headers, params=query).json()
    upload(server, owner, "b")
    upload(server, owner, "d")
    server.client.delete(f"/v1/files/{files['c']['id']}", headers=owner.headers)
    rest = server.client.get(
        "/v1/files", headers=owner.headers, params={**query, "limit": 9, "cursor": first["next_cursor"]}
    ).json()
    assert [item["filename"] for item in rest["items"]] == ["d", "e", "g", "i"]


def test_cursor_of_another_order_is_a_400(server: ApiServer, owner: Owner):
    for name in "abc":
        upload(server, owner, name)
    cursors = {
        order: server.client.get(
            "/v1/files", headers=owner.headers, params={"order": order, "limit": 1}
        ).json()["next_cursor"]
        for order in ORDERS
    }
    for order in ORDERS:
        for other, cursor in cursors.items():
            answer = server.client.get(
                "/v1/files", headers=owner.headers, params={"order": order, "cursor": cursor}
            )
            if other == order:
                assert answer.status_code == 200
            else:
                assert_problem(answer, 400, "bad-cursor")
