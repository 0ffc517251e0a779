"""Records of files: describe, list, change, delete."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx2
import pytest

from media_service.files.lifecycle import FileStatus
from media_service.models import new_id
from media_service.tables import Event, File, Job
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem

WHOLE_RECORD = {"filename": "new.txt", "visibility": "public", "tags": ["x"], "custom": {"k": [1, None]}}


def upload(server: ApiServer, owner: Owner, data: bytes = b"words", **query: Any) -> dict[str, Any]:
    answer = server.client.post("/v1/files", headers=owner.headers, content=data, params=query)
    assert answer.status_code == 201
    file: dict[str, Any] = answer.json()["items"][0]
    return file


def listed(server: ApiServer, owner: Owner, **query: Any) -> list[str]:
    answer = server.client.get("/v1/files", headers=owner.headers, params=query)
    assert answer.status_code == 200, answer.text
    return [item["filename"] for item in answer.json()["items"]]


def change(
    server: ApiServer, owner: Owner, file: dict[str, Any], body: Any, **headers: str
) -> httpx2.Response:
    return server.client.patch(f"/v1/files/{file['id']}", headers={**owner.headers, **headers}, json=body)


def test_describe_gives_the_record_as_it_was_answered_at_the_upload(server: ApiServer, owner: Owner):
    file = upload(server, owner, filename="a.txt", tags=["t"], custom='{"n": 1.5}')
    answer = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers)
    assert answer.status_code == 200
    assert answer.json() == file


def test_links_come_from_the_public_url_and_never_from_the_host_header(server: ApiServer, owner: Owner):
    file = upload(server, owner)
    answer = server.client.get(
        f"/v1/files/{file['id']}",
        headers={**owner.headers, "Host": "evil.example", "X-Forwarded-Host": "evil.example"},
    )
    assert "evil" not in answer.text


def test_id_is_a_uuid_of_version_7(server: ApiServer, owner: Owner):
    assert UUID(upload(server, owner)["id"]).version == 7


def test_list_of_nothing_is_empty(server: ApiServer, owner: Owner):
    answer = server.client.get("/v1/files", headers=owner.headers)
    assert answer.json() == {"items": [], "next_cursor": None}
    assert "Link" not in answer.headers


@pytest.mark.parametrize(("order", "reverse"), [("created_at", False), ("-created_at", True), (None, True)])
def test_pages_follow_each_other_without_gap_or_repetition(
    server: ApiServer, owner: Owner, order: str | None, *, reverse: bool
):
    names = [f"{number}.txt" for number in range(7)]
    for name in names:
        upload(server, owner, filename=name)
    query = {"limit": 3} | ({"order": order} if order else {})
    url: str | None = str(httpx2.URL("/v1/files", params=query))
    pages = []
    while url is not None:
        answer = server.client.get(url, headers=owner.headers)
        pages.append([item["filename"] for item in answer.json()["items"]])
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json()["next_cursor"] is None)
        url = link.removesuffix('>; rel="next"').removeprefix("<") if link else None
        if url is not None:
            query_of_link = parse_qs(urlsplit(url).query)
            assert query_of_link["cursor"] == [answer.json()["next_cursor"]]
            assert query_of_link["limit"] == ["3"]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == sorted(names, reverse=reverse)


def test_last_page_that_is_full_has_no_next(server: ApiServer, owner: Owner):
    for number in range(4):
        upload(server, owner, filename=f"{number}")
    first = server.client.get("/v1/files", headers=owner.headers, params={"limit": 2}).json()
    second = server.client.get(
        "/v1/files", headers=owner.headers, params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()
    assert (len(second["items"]), second["next_cursor"]) == (2, None)


def test_page_stays_right_while_files_come_and_go(server: ApiServer, owner: Owner):
    files = [upload(server, owner, filename=f"{number}") for number in range(5)]
    first = server.client.get("/v1/files", headers=owner.headers, params={"limit": 2}).json()
    upload(server, owner, filename="new")
    # The row that the cursor names may go, too.
    server.client.delete(f"/v1/files/{files[3]['id']}", headers=owner.headers)
    rest = listed(server, owner, cursor=first["next_cursor"])
    assert rest == ["2", "1", "0"]


def test_filters_narrow_the_list_and_combine(server: ApiServer, owner: Owner):
    upload(server, owner, images.jpeg(8, 8), filename="a.jpg", tags=["sea", "sun"], visibility="public")
    upload(server, owner, b"words", filename="b.txt", tags=["sea"])
    upload(server, owner, b"\x00\x01", filename="c.bin", tags=['we"ird, [x]'])
    assert listed(server, owner, tag="sea") == ["b.txt", "a.jpg"]
    assert listed(server, owner, tag="sea", kind="image") == ["a.jpg"]
    assert listed(server, owner, tag='we"ird, [x]') == ["c.bin"]
    assert listed(server, owner, tag="se") == []
    assert listed(server, owner, kind="document") == ["b.txt"]
    assert listed(server, owner, kind="other") == ["c.bin"]
    assert listed(server, owner, kind="video") == []
    assert listed(server, owner, status="processing") == ["a.jpg"]
    assert listed(server, owner, status="ready") == ["c.bin", "b.txt"]
    assert listed(server, owner, visibility="public") == ["a.jpg"]
    assert listed(server, owner, visibility="private", status="ready", tag="sea") == ["b.txt"]


@pytest.mark.parametrize("tag", ["\x00", "it's", "%", "\\", "日本", "' OR 1=1 --"])
def test_odd_tag_in_the_query_is_only_a_tag(server: ApiServer, owner: Owner, tag: str):
    upload(server, owner)
    answer = server.client.get("/v1/files", headers=owner.headers, params={"tag": tag})
    assert answer.status_code in {200, 422}
    if answer.status_code == 200:
        assert answer.json()["items"] == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"limit": 0}, "/query/limit"),
        ({"limit": 201}, "/query/limit"),
        ({"limit": "x"}, "/query/limit"),
        ({"status": "lost"}, "/query/status"),
        ({"kind": "cat"}, "/query/kind"),
        ({"visibility": "x"}, "/query/visibility"),
        ({"order": "sha256"}, "/query/order"),
        ({"order": "--size"}, "/query/order"),
        ({"q": "x" * 201}, "/query/q"),
        ({"tag": "x" * 101}, "/query/tag"),
    ],
)
def test_bad_query_of_a_list_is_a_422_that_names_it(
    server: ApiServer, owner: Owner, query: dict[str, Any], pointer: str
):
    problem = assert_problem(
        server.client.get("/v1/files", headers=owner.headers, params=query), 422, "invalid-request"
    )
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("cursor", ["x", "????", "AAAA", "é", "A" * 23, ""])
def test_cursor_that_is_none_of_ours_is_a_400(server: ApiServer, owner: Owner, cursor: str):
    answer = server.client.get("/v1/files", headers=owner.headers, params={"cursor": cursor})
    assert_problem(answer, 400, "bad-cursor")


@pytest.mark.parametrize(
    "body",
    [
        {"filename": "日本.txt"},
        {"visibility": "public"},
        {"tags": ["b", "a"]},
        {"custom": {"nested": {"ok": True}}},
        WHOLE_RECORD,
    ],
)
def test_patch_changes_what_it_names_and_nothing_else(server: ApiServer, owner: Owner, body: dict[str, Any]):
    file = upload(server, owner, filename="old.txt", tags=["old"], custom='{"old": 1}')
    answer = change(server, owner, file, body)
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == {**file, **body, "updated_at": changed["updated_at"], "etag": '"2"'}
    assert changed["updated_at"] > file["updated_at"]
    described = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers)
    assert (described.json(), described.headers["ETag"]) == (changed, answer.headers["ETag"])


def test_patch_of_nothing_changes_nothing(server: ApiServer, owner: Owner):
    file = upload(server, owner)
    answer = change(server, owner, file, {})
    assert (answer.status_code, answer.json()) == (200, file)


def test_patched_name_is_made_safe_like_an_uploaded_one(server: ApiServer, owner: Owner):
    assert change(server, owner, upload(server, owner), {"filename": "../a\x00b"}).json()["filename"] == "ab"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"filename": ""}, "/body/filename"),
        ({"filename": None}, "/body"),
        ({"visibility": "x"}, "/body/visibility"),
        ({"tags": "x"}, "/body/tags"),
        ({"tags": [""]}, "/body/tags/0"),
        ({"tags": ["a\x00"]}, "/body/tags/0"),
        ({"tags": [str(number) for number in range(51)]}, "/body/tags"),
        ({"custom": []}, "/body/custom"),
        ({"custom": {"x": "y" * 17_000}}, "/body/custom"),
        ({"custom": {"x": "\x00"}}, "/body/custom"),
        ({"status": "ready"}, "/body/status"),
        ([], "/body"),
    ],
)
def test_bad_change_is_a_422_that_names_it(server: ApiServer, owner: Owner, body: Any, pointer: str):
    file = upload(server, owner)
    problem = assert_problem(change(server, owner, file, body), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert server.client.get(f"/v1/files/{file['id']}", headers=owner.headers).json() == file


@pytest.mark.parametrize("body", [b"{", b"", b'{"tags": ["\\ud800"]}', b'{"custom": {"a": NaN}}', b"\xff"])
def test_body_that_is_no_clean_json_is_refused_and_no_500(server: ApiServer, owner: Owner, body: bytes):
    file = upload(server, owner)
    answer = server.client.patch(
        f"/v1/files/{file['id']}",
        headers={**owner.headers, "Content-Type": "application/json"},
        content=body,
    )
    assert_problem(answer, answer.status_code, answer.json()["code"])
    assert answer.status_code in {400, 422}


def test_put_replaces_all_four(server: ApiServer, owner: Owner):
    file = upload(server, owner, filename="old.txt", tags=["old"], custom='{"old": 1}')
    answer = server.client.put(f"/v1/files/{file['id']}", headers=owner.headers, json=WHOLE_RECORD)
    assert answer.status_code == 200
    replaced = answer.json()
    assert replaced == {**file, **WHOLE_RECORD, "updated_at": replaced["updated_at"], "etag": '"2"'}
    described = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers)
    assert (described.json(), described.headers["ETag"]) == (replaced, answer.headers["ETag"])


@pytest.mark.parametrize("missing", WHOLE_RECORD)
def test_put_without_one_of_the_four_is_a_422(server: ApiServer, owner: Owner, missing: str):
    file = upload(server, owner)
    body = {name: value for name, value in WHOLE_RECORD.items() if name != missing}
    answer = server.client.put(f"/v1/files/{file['id']}", headers=owner.headers, json=body)
    problem = assert_problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [f"/body/{missing}"]


METHODS = [("PATCH", {"tags": ["new"]}), ("PUT", WHOLE_RECORD), ("DELETE", None)]


@pytest.mark.parametrize(("method", "body"), METHODS)
@pytest.mark.parametrize("if_match", ['"1"', "*", '"7", "1"', '"9" ,"1"'])
def test_if_match_that_matches_lets_the_change_pass(
    server: ApiServer, owner: Owner, method: str, body: Any, if_match: str
):
    file = upload(server, owner)
    answer = server.client.request(
        method, f"/v1/files/{file['id']}", headers={**owner.headers, "If-Match": if_match}, json=body
    )
    assert answer.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize(("method", "body"), METHODS)
@pytest.mark.parametrize("if_match", ['"2"', 'W/"1"', "1", '""', '"2", "3"', '"2-0123abcd"', '"1-"'])
def test_if_match_that_does_not_match_is_a_412_that_changes_nothing(
    server: ApiServer, owner: Owner, method: str, body: Any, if_match: str
):
    file = upload(server, owner)
    answer = server.client.request(
        method, f"/v1/files/{file['id']}", headers={**owner.headers, "If-Match": if_match}, json=body
    )
    assert_problem(answer, 412, "precondition-failed", etag='"1"')
    assert server.client.get(f"/v1/files/{file['id']}", headers=owner.headers).json() == file


@pytest.mark.parametrize(("method", "body"), METHODS)
def test_if_match_takes_the_tag_of_the_header_as_it_takes_that_of_the_record(
    server: ApiServer, owner: Owner, method: str, body: Any
):
    path = f"/v1/files/{upload(server, owner)['id']}"
    old = server.client.get(path, headers=owner.headers).headers["ETag"]
    new = server.client.patch(path, headers=owner.headers, json={"tags": ["x"]}).headers["ETag"]
    for tag, status in ((old, 412), (new, 204 if method == "DELETE" else 200)):
        answer = server.client.request(method, path, headers={**owner.headers, "If-Match": tag}, json=body)
        assert answer.status_code == status


def test_second_change_with_the_first_etag_is_a_412(server: ApiServer, owner: Owner):
    file = upload(server, owner)
    assert change(server, owner, file, {"tags": ["1"]}, **{"If-Match": file["etag"]}).status_code == 200
    second = change(server, owner, file, {"tags": ["2"]}, **{"If-Match": file["etag"]})
    assert_problem(second, 412, "precondition-failed", etag='"2"')


def test_delete_takes_the_file_out_of_sight_and_leaves_its_bytes_to_a_job(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file = upload(server, owner, images.jpeg(8, 8))
    answer = server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(server.client.get(f"/v1/files/{file['id']}", headers=owner.headers), 404, "not-found")
    assert listed(server, owner) == []
    assert clean_backend.rows(File) == []
    [job] = clean_backend.rows(Job)
    assert (job.kind, job.lane, job.payload) == ("purge_file", "housekeeping", {"file_id": file["id"]})
    assert [event.type for event in clean_backend.rows(Event)] == ["file.created", "file.deleted"]


def test_second_delete_is_a_404(server: ApiServer, owner: Owner):
    file = upload(server, owner)
    server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers)
    answer = server.client.delete(f"/v1/files/{file['id']}", headers=owner.headers)
    assert_problem(answer, 404, "not-found")


Route = tuple[str, str, Any]

FILE_ROUTES: list[Route] = [
    ("GET", "/v1/files/{id}", None),
    ("PATCH", "/v1/files/{id}", {"tags": []}),
    ("PUT", "/v1/files/{id}", WHOLE_RECORD),
    ("DELETE", "/v1/files/{id}", None),
    ("GET", "/v1/files/{id}/content", None),
    ("GET", "/v1/files/{id}/download", None),
    ("GET", "/v1/files/{id}/url", None),
    ("GET", "/v1/files/{id}/renditions", None),
    ("GET", "/v1/files/{id}/renditions/thumb/content", None),
    ("POST", "/v1/files/{id}/process", None),
    ("POST", "/v1/files/{id}/revoke-urls", None),
    ("POST", "/v1/urls", {"items": [{"file_id": "{id}"}]}),
]


def ask(
    server: ApiServer, headers: dict[str, str], route: tuple[str, str, Any], file_id: str
) -> httpx2.Response:
    method, path, body = route
    content = json.dumps(body).replace("{id}", file_id) if body is not None else None
    typed = {"Content-Type": "application/json"} if content is not None else {}
    return server.client.request(
        method, path.replace("{id}", file_id), headers={**headers, **typed}, content=content
    )


@pytest.mark.parametrize("route", FILE_ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_file_of_another_owner_is_a_404_just_like_one_that_is_not_there(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend, route: Route
):
    file = upload(server, owner, images.jpeg(8, 8))
    theirs = assert_problem(ask(server, stranger.headers, route, file["id"]), 404, "not-found")
    missing = assert_problem(ask(server, stranger.headers, route, str(new_id())), 404, "not-found")
    unlike = {"instance", "request_id"}
    assert {k: v for k, v in theirs.items() if k not in unlike} == {
        k: v for k, v in missing.items() if k not in unlike
    }
    assert [row.version for row in clean_backend.rows(File)] == [1]


@pytest.mark.parametrize("route", FILE_ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_route_without_credentials_is_a_401_whether_or_not_the_file_exists(
    server: ApiServer, owner: Owner, route: Route
):
    file = upload(server, owner, images.jpeg(8, 8))
    for file_id in (file["id"], str(new_id())):
        assert_problem(ask(server, {}, route, file_id), 401, "missing-credentials")
        wrong = ask(server, {"Authorization": "Bearer nonsense"}, route, file_id)
        assert_problem(wrong, 401, "invalid-credentials")


@pytest.mark.parametrize("route", FILE_ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_route_without_its_scope_is_a_403(server: ApiServer, clean_backend: Backend, route: Route):
    owner = clean_backend.add_owner(scopes=("files:write",))
    file = upload(server, owner, images.jpeg(8, 8))
    wanted = {"DELETE": "files:delete", "GET": "files:read"}.get(route[0])
    if wanted is None and route[1] != "/v1/urls":
        assert ask(server, owner.headers, route, file["id"]).status_code < 300
    else:
        answer = ask(server, owner.headers, route, file["id"])
        assert_problem(answer, 403, "missing-scope", scope=wanted or "files:read")


@pytest.mark.parametrize("route", FILE_ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def test_id_that_is_none_is_a_422(server: ApiServer, owner: Owner, route: Route):
    problem = assert_problem(ask(server, owner.headers, route, "not-an-id"), 422, "invalid-request")
    assert problem["errors"]


def test_admin_sees_and_changes_everybodys_files(server: ApiServer, owner: Owner, stranger: Owner):
    files = [upload(server, owner, filename="1"), upload(server, stranger, filename="2")]
    items = server.client.get("/v1/files", headers=ADMIN).json()["items"]
    assert [item["filename"] for item in items] == ["2", "1"]
    for file in files:
        assert server.client.get(f"/v1/files/{file['id']}/content", headers=ADMIN).status_code == 200
        assert server.client.delete(f"/v1/files/{file['id']}", headers=ADMIN).status_code == 204


def test_admin_scope_of_a_user_who_is_none_gives_nothing(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    pretender = clean_backend.add_owner(scopes=("admin",))
    file = upload(server, owner)
    answer = server.client.get(f"/v1/files/{file['id']}", headers=pretender.headers)
    assert_problem(answer, 403, "missing-scope", scope="files:read")


def test_lists_of_two_owners_do_not_mix(server: ApiServer, owner: Owner, stranger: Owner):
    upload(server, owner, filename="mine")
    upload(server, stranger, filename="theirs")
    assert listed(server, owner) == ["mine"]
    assert listed(server, stranger) == ["theirs"]


def test_quarantined_file_is_described_and_cannot_be_downloaded(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file = upload(server, owner, visibility="public")
    with clean_backend.database.transaction() as session:
        row = session.get_one(File, UUID(file["id"]))
        row.status = FileStatus.QUARANTINED
    described = server.client.get(f"/v1/files/{file['id']}", headers=owner.headers)
    assert described.json()["status"] == "quarantined"
    for path in ("content", "download", "url"):
        answer = server.client.get(f"/v1/files/{file['id']}/{path}", headers=owner.headers)
        assert_problem(answer, 403, "quarantined")
