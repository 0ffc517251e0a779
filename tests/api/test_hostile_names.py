"""Every row of the table of hostile names, by every way a name can come in, and out again in a header."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

import pytest
from werkzeug.http import parse_options_header

from media_service.files.names import MAX_NAME_BYTES
from tests.support.api_server import ApiServer
from tests.support.backends import Backend, Owner
from tests.support.forms import BOUNDARY, CONTENT_TYPE, form
from tests.support.hostile_names import NAMES, HostileName
from tests.support.problems import assert_problem

DATA = b"some words"
CONTROLS = {*range(32), 127}
ORIGINALS = "storage/objects/originals"
ON_ONE_BACKEND = pytest.mark.parametrize("backend", ["sqlite-local"], indirect=True)
"""What is tested does not depend on it; the names themselves go into both databases, by forms."""


@dataclass(frozen=True)
class Upload:
    """A request to `POST /v1/files`."""

    content: bytes = DATA
    query: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)


def by_query(name: bytes) -> Upload | None:
    return Upload(query=f"?filename={quote_from_bytes(name)}") if len(name) <= 1024 else None


def by_header(name: bytes) -> Upload | None:
    if set(name) & CONTROLS:
        return None  # no client can send it, see the table of hostile requests
    escaped = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return Upload(headers={b"Content-Disposition": b'attachment; filename="' + escaped + b'"'})


def by_extended_header(name: bytes) -> Upload | None:
    value = b"attachment; filename=other; filename*=UTF-8''" + quoted(name)
    return Upload(headers={b"Content-Disposition": value})


WAYS: tuple[Callable[[bytes], Upload | None], ...] = (by_query, by_header, by_extended_header)


def in_plain_part(name: bytes) -> bytes | None:
    """As browsers write it; a carriage return would end the header."""
    if len(name) > 8000 or b"\r" in name:
        return None
    return b'filename="' + name.replace(b'"', b"%22") + b'"'


def in_extended_part(name: bytes) -> bytes | None:
    """As clients of before 2019 wrote it."""
    return b"filename*=UTF-8''" + quoted(name) if len(quoted(name)) < 8000 else None


def quoted(name: bytes) -> bytes:
    return quote_from_bytes(name, safe="").encode()


def form_of(parameters: Iterable[bytes]) -> Upload:
    """A form with a file for each."""
    parts = [
        b"--%b\r\nContent-Disposition: form-data; name=file; %b\r\n\r\n%b\r\n"
        % (BOUNDARY.encode(), parameter, DATA)
        for parameter in parameters
    ]
    return Upload(form(*parts), headers={b"Content-Type": CONTENT_TYPE.encode()})


def post(server: ApiServer, owner: Owner, upload: Upload) -> list[dict[str, Any]]:
    headers = {b"Authorization": owner.headers["Authorization"].encode(), **upload.headers}
    answer = server.client.post(f"/v1/files{upload.query}", headers=headers, content=upload.content)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["items"])


def test_there_are_35_names_and_at_least_four_of_each_class():
    assert len(NAMES) >= 35
    assert min(Counter(row.group for row in NAMES).values()) >= 4


@pytest.mark.parametrize("spell", [in_plain_part, in_extended_part])
def test_hostile_names_of_a_form_are_stored_as_they_may_be_shown(
    server: ApiServer, owner: Owner, clean_backend: Backend, spell: Callable[[bytes], bytes | None]
):
    spelled = [(row, parameter) for row in NAMES if (parameter := spell(row.sent)) is not None]
    files = post(server, owner, form_of(parameter for _, parameter in spelled))
    assert [file["filename"] for file in files] == [row.stored for row, _ in spelled]
    assert clean_backend.keys() == {f"originals/{UUID(file['id'])}" for file in files}
    listed = server.client.get("/v1/files?limit=200&order=created_at", headers=owner.headers).json()["items"]
    assert {file["filename"] for file in listed} == {row.stored for row, _ in spelled}


@ON_ONE_BACKEND
@pytest.mark.parametrize("row", NAMES, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_name_of_a_raw_body_is_stored_the_same_whichever_way_it_came(
    server: ApiServer, owner: Owner, row: HostileName
):
    uploads = {way.__name__: upload for way in WAYS if (upload := way(row.sent)) is not None}
    stored = {way: post(server, owner, upload)[0] for way, upload in uploads.items()}
    assert {way: file["filename"] for way, file in stored.items()} == dict.fromkeys(uploads, row.stored)
    assert len(row.stored.encode()) <= MAX_NAME_BYTES
    assert_downloaded_as(server, owner, stored["by_extended_header"]["id"], row.stored)


def assert_downloaded_as(server: ApiServer, owner: Owner, file_id: str, name: str) -> None:
    """The header of a download, as a reader that is not ours understands it."""
    answer = server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers)
    assert answer.content == DATA
    [header] = [value for key, value in answer.headers.raw if key.lower() == b"content-disposition"]
    assert header.isascii()
    assert not set(header) & CONTROLS
    assert parse_options_header(header.decode()) == ("inline", {"filename": name})
    plain = header.split(b'filename="')[1].split(b'"')[0]
    assert not set(plain) & set(b"/\\%")
    assert plain.strip(b".")


@pytest.mark.parametrize("row", NAMES, ids=lambda row: f"{row.group} {row.name}")
@ON_ONE_BACKEND
def test_hostile_name_of_a_change_is_cleaned_or_refused(server: ApiServer, owner: Owner, row: HostileName):
    [file] = post(server, owner, Upload())
    name = row.sent.decode("utf-8", "surrogateescape")
    headers = {**owner.headers, "Content-Type": "application/json"}
    answer = server.client.patch(
        f"/v1/files/{file['id']}", headers=headers, content=json.dumps({"filename": name}).encode()
    )
    if len(name) > 1024 or any("\ud800" <= character <= "\udfff" for character in name):
        assert_problem(answer, 422, "invalid-request")
    else:
        assert (answer.status_code, answer.json()["filename"]) == (200, row.stored)


@ON_ONE_BACKEND
def test_no_name_makes_a_file_outside_of_the_storage(server: ApiServer, owner: Owner, clean_backend: Backend):
    root = clean_backend.values["data_dir"].parent
    before = set(root.rglob("*"))
    post(server, owner, form_of(parameter for row in NAMES if (parameter := in_plain_part(row.sent))))
    new = {path for path in set(root.rglob("*")) - before if path.is_file() and ".db" not in path.name}
    keys = clean_backend.keys()
    assert {f"originals/{UUID(path.name)}" for path in new} == keys
    assert {path.parents[1] for path in new} == {root / clean_backend.values["data_dir"].name / ORIGINALS}


ACTIVE = {
    "text/html": b"<!doctype html><html><body><script>alert(1)</script></body></html>",
    "image/svg+xml": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "application/xml": b"<?xml version='1.0'?><a/>",
    "application/json": b'{"a": 1}',
    "application/octet-stream": b"\x00\x01\x02",
}


@ON_ONE_BACKEND
@pytest.mark.parametrize("wanted", ["inline", "attachment", None])
@pytest.mark.parametrize("content_type", ACTIVE)
def test_what_a_browser_could_run_is_an_attachment_that_may_do_nothing(
    server: ApiServer, owner: Owner, content_type: str, wanted: str | None
):
    [file] = post(server, owner, Upload(ACTIVE[content_type], query="?filename=photo.jpg"))
    params = {} if wanted is None else {"disposition": wanted}
    answer = server.client.get(f"/v1/files/{file['id']}/content", headers=owner.headers, params=params)
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["Content-Disposition"] == 'attachment; filename="photo.jpg"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
