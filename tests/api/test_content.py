"""Downloads through the service: RFC 9110 as a table, for originals and renditions alike."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest

from media_service.files.lifecycle import FileKind, FileStatus, Visibility
from media_service.models import new_id, utc_now
from media_service.storage.exceptions import StorageUnavailableError
from media_service.tables import File, Rendition
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem
from tests.support.raw_http import RawConnection
from tests.support.storages import RaisingStorage, WrappedStorage

DATA = bytes(range(256)) * 4
SIZE = len(DATA)
NOW = utc_now()
MODIFIED = format_datetime(NOW.replace(microsecond=0), usegmt=True)
BEFORE = format_datetime((NOW - timedelta(hours=1)).replace(microsecond=0), usegmt=True)
AFTER = format_datetime((NOW + timedelta(hours=1)).replace(microsecond=0), usegmt=True)
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
OTHER = '"0123456789abcdef"'


def add_file(backend: Backend, owner: Owner, data: bytes = DATA, **changes: Any) -> UUID:
    """A stored file whose times and type are known, without the way through an upload."""
    values: dict[str, Any] = {
        "id": new_id(),
        "owner_id": owner.id,
        "filename": "photo.jpg",
        "content_type": "image/jpeg",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "kind": FileKind.IMAGE,
        "status": FileStatus.READY,
        "visibility": Visibility.PRIVATE,
        "tags": [],
        "custom": {},
        "media": {},
        "created_at": NOW,
        **changes,
    }
    file = File(**values)
    backend.storage.put(file.key, data, content_type=file.content_type)
    with backend.database.transaction() as session:
        session.add(file)
    return file.id


def add_rendition(backend: Backend, file_id: UUID, data: bytes = DATA, name: str = "thumb") -> Rendition:
    rendition = Rendition(
        id=new_id(),
        file_id=file_id,
        name=name,
        recipe="0" * 16,
        content_type="image/webp",
        width_px=256,
        height_px=192,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        created_at=NOW,
    )
    backend.storage.put(rendition.key, data, content_type=rendition.content_type)
    with backend.database.transaction() as session:
        session.add(rendition)
    return rendition


@dataclass(frozen=True)
class Subject:
    path: str
    content_type: str
    disposition: str


@pytest.fixture(params=["original", "rendition"])
def subject(
    request: pytest.FixtureRequest, server: ApiServer, owner: Owner, clean_backend: Backend
) -> Subject:
    if request.param == "original":
        file_id = add_file(clean_backend, owner)
        return Subject(f"/v1/files/{file_id}/content", "image/jpeg", 'inline; filename="photo.jpg"')
    file_id = add_file(clean_backend, owner, b"another original")
    add_rendition(clean_backend, file_id)
    path = f"/v1/files/{file_id}/renditions/thumb/content"
    return Subject(path, "image/webp", 'inline; filename="photo-thumb.webp"')


WHOLE = [
    {},
    # Not understood, so ignored (RFC 9110 §14.2).
    {"Range": "bytes"},
    {"Range": "bytes="},
    {"Range": "bytes=-"},
    {"Range": "bytes=a-b"},
    {"Range": "bytes=5-2"},
    {"Range": "bytes=1-2-3"},
    {"Range": "bytes=0x1-2"},
    {"Range": "items=0-5"},
    {"Range": "0-5"},
    {"Range": ""},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "bytes=" + ",".join(["0-"] * 1000)},
    # If-Range that does not hold: the whole file.
    {"Range": "bytes=0-9", "If-Range": OTHER},
    {"Range": "bytes=0-9", "If-Range": f"W/{ETAG}"},
    {"Range": "bytes=0-9", "If-Range": BEFORE},
    {"Range": "bytes=0-9", "If-Range": AFTER},
    {"Range": "bytes=0-9", "If-Range": "nonsense"},
    {"Range": "bytes=99999-", "If-Range": OTHER},
    # Preconditions that hold.
    {"If-Match": ETAG},
    {"If-Match": "*"},
    {"If-Match": f"{OTHER}, {ETAG}"},
    {"If-Unmodified-Since": MODIFIED},
    {"If-Unmodified-Since": AFTER},
    {"If-Unmodified-Since": "nonsense"},
    {"If-None-Match": OTHER},
    {"If-Modified-Since": BEFORE},
    {"If-Modified-Since": "nonsense"},
    # The stronger one decides (§13.2.2).
    {"If-Match": ETAG, "If-Unmodified-Since": BEFORE},
    {"If-None-Match": OTHER, "If-Modified-Since": AFTER},
]

PARTS = [
    ({"Range": "bytes=0-0"}, 0, 0),
    ({"Range": "bytes=5-"}, 5, SIZE - 1),
    ({"Range": "bytes=5-9"}, 5, 9),
    ({"Range": "BYTES=5-9"}, 5, 9),
    ({"Range": "bytes= 5-9"}, 5, 9),
    ({"Range": "bytes=-10"}, SIZE - 10, SIZE - 1),
    ({"Range": "bytes=-1"}, SIZE - 1, SIZE - 1),
    ({"Range": "bytes=-99999"}, 0, SIZE - 1),
    ({"Range": "bytes=0-99999"}, 0, SIZE - 1),
    ({"Range": f"bytes={SIZE - 1}-"}, SIZE - 1, SIZE - 1),
    ({"Range": f"bytes=0-{SIZE - 1}"}, 0, SIZE - 1),
    ({"Range": "bytes=0-9", "If-Range": ETAG}, 0, 9),
    ({"Range": "bytes=0-9", "If-Range": MODIFIED}, 0, 9),
    ({"Range": "bytes=0-9", "If-Match": ETAG}, 0, 9),
    ({"Range": "bytes=0-9", "If-None-Match": OTHER}, 0, 9),
]

NOT_MODIFIED = [
    {"If-None-Match": ETAG},
    {"If-None-Match": f"W/{ETAG}"},
    {"If-None-Match": "*"},
    {"If-None-Match": f"{OTHER},{ETAG}"},
    {"If-None-Match": f'W/"a,b" , {ETAG}'},
    {"If-Modified-Since": MODIFIED},
    {"If-Modified-Since": AFTER},
    {"If-None-Match": ETAG, "If-Modified-Since": BEFORE},
    {"If-None-Match": ETAG, "Range": "bytes=0-9"},
    {"If-None-Match": ETAG, "Range": "bytes=99999-"},
]

FAILED_PRECONDITIONS = [
    {"If-Match": OTHER},
    {"If-Match": f"W/{ETAG}"},
    {"If-Match": ETAG.strip('"')},
    {"If-Match": ""},
    {"If-Unmodified-Since": BEFORE},
    {"If-Match": OTHER, "If-None-Match": ETAG},
    {"If-Match": OTHER, "Range": "bytes=99999-"},
    {"If-Unmodified-Since": BEFORE, "If-None-Match": ETAG},
    {"If-Unmodified-Since": BEFORE, "Range": "bytes=0-9"},
]

UNSATISFIABLE = [
    {"Range": f"bytes={SIZE}-"},
    {"Range": "bytes=99999-"},
    {"Range": "bytes=99999-100000"},
    {"Range": "bytes=-0"},
    {"Range": f"bytes={SIZE}-", "If-Range": ETAG},
]


def get(server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str]) -> httpx2.Response:
    return server.client.get(subject.path, headers={**owner.headers, **headers})


def case(headers: Any) -> str:
    headers = headers[0] if isinstance(headers, tuple) else headers
    return (
        ", ".join(f"{name}={value[:24]}" for name, value in headers.items()).encode("unicode_escape").decode()
    )


@pytest.mark.parametrize("headers", WHOLE, ids=case)
def test_whole_file_is_answered_with_200(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str]
):
    answer = get(server, owner, subject, headers)
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Content-Type"] == subject.content_type
    assert answer.headers["Content-Disposition"] == subject.disposition
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Last-Modified"] == MODIFIED
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Content-Range" not in answer.headers
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "start", "end"), PARTS, ids=lambda value: case(value) if isinstance(value, dict) else ""
)
def test_part_is_answered_with_206(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str], start: int, end: int
):
    answer = get(server, owner, subject, headers)
    assert answer.status_code == 206
    assert answer.content == DATA[start : end + 1]
    assert answer.headers["Content-Range"] == f"bytes {start}-{end}/{SIZE}"
    assert answer.headers["Content-Length"] == str(end - start + 1)
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Last-Modified"] == MODIFIED
    assert answer.headers["Content-Type"] == subject.content_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", NOT_MODIFIED, ids=case)
def test_known_state_is_answered_with_304(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str], method: str
):
    answer = server.client.request(method, subject.path, headers={**owner.headers, **headers})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Last-Modified"] == MODIFIED
    assert "Content-Type" not in answer.headers
    assert answer.headers.get("Content-Length", str(SIZE)) == str(SIZE)


@pytest.mark.parametrize("headers", FAILED_PRECONDITIONS, ids=case)
def test_failed_precondition_is_answered_with_412(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str]
):
    assert_problem(get(server, owner, subject, headers), 412, "precondition-failed")
    head = server.client.head(subject.path, headers={**owner.headers, **headers})
    assert (head.status_code, head.content) == (412, b"")


@pytest.mark.parametrize("headers", UNSATISFIABLE, ids=case)
def test_range_beyond_the_end_is_answered_with_416(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str]
):
    answer = get(server, owner, subject, headers)
    assert_problem(answer, 416, "range-not-satisfiable", size_bytes=SIZE)
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"Range": "bytes=99999-"}], ids=case)
def test_head_is_a_get_without_the_body_and_ignores_ranges(
    server: ApiServer, owner: Owner, subject: Subject, headers: dict[str, str]
):
    whole = get(server, owner, subject, {})
    head = server.client.head(subject.path, headers={**owner.headers, **headers})
    assert (head.status_code, head.content) == (200, b"")
    unlike = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in unlike} == {
        k: v for k, v in whole.headers.items() if k not in unlike
    }


def test_ranges_put_together_are_the_file(server: ApiServer, owner: Owner, subject: Subject):
    pieces = [
        get(server, owner, subject, {"Range": f"bytes={at}-{at + 99}"}).content for at in range(0, SIZE, 100)
    ]
    assert b"".join(pieces) == DATA


@pytest.mark.parametrize("headers", [{}, {"Range": "items=0-1"}], ids=case)
def test_file_of_zero_bytes_is_a_200_without_a_body(
    server: ApiServer, owner: Owner, clean_backend: Backend, headers: dict[str, str]
):
    file_id = add_file(clean_backend, owner, b"")
    answer = server.client.get(f"/v1/files/{file_id}/content", headers={**owner.headers, **headers})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=0-0", "bytes=-5"])
def test_range_of_a_file_of_zero_bytes_is_a_416(
    server: ApiServer, owner: Owner, clean_backend: Backend, value: str
):
    file_id = add_file(clean_backend, owner, b"")
    answer = server.client.get(f"/v1/files/{file_id}/content", headers={**owner.headers, "Range": value})
    assert_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == "bytes */0"


def test_large_file_comes_back_byte_exact_whole_and_in_a_range(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    data = hashlib.shake_128(b"seed").digest(7_000_001)
    path = f"/v1/files/{add_file(clean_backend, owner, data)}/content"
    assert server.client.get(path, headers=owner.headers).content == data
    part = server.client.get(path, headers={**owner.headers, "Range": "bytes=3000000-5999999"})
    assert part.content == data[3_000_000:6_000_000]


RUNNABLE = [
    "text/html",
    "image/svg+xml",
    "application/xml",
    "application/xhtml+xml",
    "text/javascript",
    "application/javascript",
    "application/octet-stream",
]


@pytest.mark.parametrize("content_type", RUNNABLE)
@pytest.mark.parametrize("wanted", [None, "inline", "attachment"])
def test_type_that_a_browser_could_run_is_always_an_attachment(
    server: ApiServer, owner: Owner, clean_backend: Backend, content_type: str, wanted: str | None
):
    file_id = add_file(clean_backend, owner, content_type=content_type)
    params = {"disposition": wanted} if wanted else {}
    answer = server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers, params=params)
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize("wanted", ["inline", "attachment"])
def test_disposition_is_as_wanted_for_a_safe_type(
    server: ApiServer, owner: Owner, subject: Subject, wanted: str
):
    answer = server.client.get(subject.path, headers=owner.headers, params={"disposition": wanted})
    assert answer.headers["Content-Disposition"].startswith(f"{wanted}; ")


def test_unknown_disposition_is_a_422(server: ApiServer, owner: Owner, subject: Subject):
    answer = server.client.get(subject.path, headers=owner.headers, params={"disposition": "x"})
    assert_problem(answer, 422, "invalid-request")


def test_public_file_is_read_without_credentials_and_cached_briefly(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    add_rendition(clean_backend, file_id)
    for path in ("content", "renditions/thumb/content"):
        answer = server.client.get(f"/v1/files/{file_id}/{path}")
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["Cache-Control"] == "public, max-age=300"
    record = server.client.get(f"/v1/files/{file_id}")
    assert_problem(record, 401, "missing-credentials")


def test_public_file_with_a_wrong_credential_is_still_a_401(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    answer = server.client.get(f"/v1/files/{file_id}/content", headers={"X-API-Key": "wrong"})
    assert_problem(answer, 401, "invalid-credentials")


def test_public_file_is_read_by_strangers_and_by_keys_without_the_scope(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    writer = clean_backend.add_owner(scopes=("files:write",))
    for headers in (stranger.headers, writer.headers):
        assert server.client.get(f"/v1/files/{file_id}/content", headers=headers).status_code == 200


def test_public_file_of_a_disabled_owner_is_there_for_admins_alone(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    add_rendition(clean_backend, file_id)
    paths = [f"/v1/files/{file_id}/{path}" for path in ("content", "renditions/thumb/content", "download")]

    def set_disabled(*, disabled: bool) -> None:
        answer = server.client.patch(f"/v1/users/{owner.id}", headers=ADMIN, json={"disabled": disabled})
        assert answer.status_code == 200

    set_disabled(disabled=True)
    for path in paths:
        # As for a file that never was.
        assert_problem(server.client.get(path), 401, "missing-credentials")
        assert_problem(server.client.get(path, headers=stranger.headers), 404, "not-found")
        assert server.client.get(path, headers=ADMIN, follow_redirects=True).content == DATA
    set_disabled(disabled=False)
    for path in paths:
        assert server.client.get(path, follow_redirects=True).content == DATA


def test_file_made_private_again_is_a_401_for_strangers(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    server.client.patch(f"/v1/files/{file_id}", headers=owner.headers, json={"visibility": "private"})
    assert_problem(server.client.get(f"/v1/files/{file_id}/content"), 401, "missing-credentials")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FileStatus.PROCESSING, "rendition-not-ready"),
        (FileStatus.FAILED, "rendition-not-ready"),
        (FileStatus.READY, "rendition-not-found"),
    ],
)
def test_missing_rendition_says_whether_waiting_helps(
    server: ApiServer, owner: Owner, clean_backend: Backend, status: FileStatus, code: str
):
    is_failed = status is FileStatus.FAILED
    why: dict[str, Any] = (
        {"status_code": "unreadable-media", "status_detail": "It is damaged."} if is_failed else {}
    )
    file_id = add_file(clean_backend, owner, DATA, status=status, **why)
    answer = server.client.get(f"/v1/files/{file_id}/renditions/thumb/content", headers=owner.headers)
    problem = assert_problem(answer, 404, code)
    if code == "rendition-not-ready":
        assert problem["file_status"] == status
        reasons = {"code": "unreadable-media", "detail": "It is damaged."}
        assert problem["status_reason"] == (reasons if is_failed else None)


@pytest.mark.parametrize("name", ["nope", "THUMB", "%00", "%F0%9F%90%88", "..%2F..", "x" * 500])
def test_rendition_name_that_is_none_is_a_404(
    server: ApiServer, owner: Owner, clean_backend: Backend, name: str
):
    file_id = add_file(clean_backend, owner, status=FileStatus.PROCESSING)
    answer = server.client.get(f"/v1/files/{file_id}/renditions/{name}/content", headers=owner.headers)
    assert answer.status_code == 404
    assert answer.json()["code"] in {"rendition-not-found", "not-found"}


def test_object_that_is_lost_is_an_error_without_a_name(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner)
    clean_backend.storage.delete([f"originals/{file_id}"])
    answer = server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers)
    assert_problem(answer, 404, "object-not-found")


def test_storage_that_is_away_is_a_503(server: ApiServer, owner: Owner, subject: Subject):
    error = StorageUnavailableError()
    with server.storage_wrapped(lambda real: RaisingStorage(real, "open", error=error)):
        answer = get(server, owner, subject, {})
    assert_problem(answer, 503, "storage-unavailable")


class BreakingStorage(WrappedStorage):
    """Gives readers that break off after a megabyte."""

    def open(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Any:
        reader = self._inner.open(key, start=start, size_bytes=size_bytes)
        left = [1_000_000]

        class Breaking(WrappedStorage):
            def read(self, max_bytes: int) -> bytes:
                if left[0] <= 0:
                    raise StorageUnavailableError
                left[0] -= max_bytes
                return reader.read(max_bytes)

        return Breaking(reader)  # type: ignore[arg-type]  # delegates to a reader just as well


def test_storage_that_breaks_off_never_looks_like_the_end(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    data = bytes(5_000_000)
    file_id = add_file(clean_backend, owner, data)
    with server.storage_wrapped(BreakingStorage), pytest.raises(httpx2.RemoteProtocolError):
        server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers)
    assert server.client.get(f"/v1/files/{file_id}/content", headers=owner.headers).content == data


def test_client_that_leaves_in_the_middle_costs_nothing(
    server: ApiServer, owner: Owner, clean_backend: Backend
):
    file_id = add_file(clean_backend, owner, bytes(20_000_000))
    for _ in range(20):
        with RawConnection(server.port) as connection:
            connection.send_head("GET", f"/v1/files/{file_id}/content", owner.headers)
            assert connection.answer().read(1000) == bytes(1000)
            connection.reset()
    part = server.client.get(f"/v1/files/{file_id}/content", headers={**owner.headers, "Range": "bytes=0-9"})
    assert part.status_code == 206
