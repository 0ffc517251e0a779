"""URLs that work without credentials: the service's own on local storage, S3's on S3."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import httpx2
import pytest

from media_service.files.lifecycle import Visibility
from media_service.models import new_id, utc_now
from tests.api.test_content import DATA, add_file, add_rendition
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner
from tests.support.problems import assert_problem
from tests.support.service import PROJECT_ROOT


@pytest.fixture(scope="module")
def anyone() -> Iterator[httpx2.Client]:
    """A client without credentials, for absolute URLs."""
    with httpx2.Client(verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def file_id(server: ApiServer, owner: Owner, clean_backend: Backend) -> UUID:
    return add_file(clean_backend, owner, filename="猫 photo.jpg")


def sign(server: ApiServer, owner: Owner, file_id: UUID, **query: Any) -> str:
    answer = server.client.get(f"/v1/files/{file_id}/url", headers=owner.headers, params=query)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def changed(url: str, **changes: str | None) -> str:
    """The URL with query parameters set anew, or taken out."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **changes}
    return urlunsplit(
        parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None}))
    )


def only_local(backend: Backend) -> bool:
    """Whether the service itself signs; what S3 makes of a changed URL is S3's affair."""
    return not backend.is_s3


def test_signed_url_gives_the_file_without_credentials(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    before = utc_now()
    answer = server.client.get(f"/v1/files/{file_id}/url", headers=owner.headers)
    body = answer.json()
    assert set(body) == {"url", "expires_at"}
    expires_in = datetime.fromisoformat(body["expires_at"]) - before
    assert timedelta(seconds=895) < expires_in < timedelta(seconds=930)
    place = "/media-test/originals/" if clean_backend.is_s3 else f"{server.base_url}/v1/signed/"
    assert place in body["url"]
    downloaded = anyone.get(body["url"])
    assert (downloaded.status_code, downloaded.content) == (200, DATA)
    assert downloaded.headers["Content-Type"] == "image/jpeg"
    assert "filename*=UTF-8''%E7%8C%AB%20photo.jpg" in downloaded.headers["Content-Disposition"]


def test_signed_url_of_a_rendition_gives_the_rendition(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    add_rendition(clean_backend, file_id, b"the rendition")
    downloaded = anyone.get(sign(server, owner, file_id, rendition="thumb"))
    assert (downloaded.status_code, downloaded.content) == (200, b"the rendition")
    assert downloaded.headers["Content-Type"] == "image/webp"


@pytest.mark.parametrize("wanted", ["attachment", "inline"])
def test_signed_url_keeps_the_wanted_disposition(
    server: ApiServer, owner: Owner, anyone: httpx2.Client, file_id: UUID, wanted: str
):
    downloaded = anyone.get(sign(server, owner, file_id, disposition=wanted))
    assert downloaded.headers["Content-Disposition"].startswith(f"{wanted}; ")


def test_signed_url_of_html_is_an_attachment(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client
):
    page = add_file(clean_backend, owner, b"<script>", content_type="text/html")
    downloaded = anyone.get(sign(server, owner, page, disposition="inline"))
    assert downloaded.headers["Content-Disposition"].startswith("attachment; ")


def test_signed_url_answers_ranges(server: ApiServer, owner: Owner, anyone: httpx2.Client, file_id: UUID):
    part = anyone.get(sign(server, owner, file_id), headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, DATA[10:20])


def test_own_signed_url_answers_head_and_conditions(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    url = sign(server, owner, file_id)
    if only_local(clean_backend):
        head = anyone.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert anyone.get(url, headers={"If-None-Match": head.headers["ETag"]}).status_code == 304
        assert anyone.get(url, headers={"If-Match": '"other"'}).status_code == 412
        max_age = int(head.headers["Cache-Control"].removeprefix("private, max-age="))
        assert 800 < max_age <= 900


def test_own_signed_url_that_was_changed_is_a_403(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    other = add_file(clean_backend, owner, b"not for you")
    add_rendition(clean_backend, file_id)
    url = sign(server, owner, file_id)
    if only_local(clean_backend):
        exp, sig, kid = (dict(parse_qsl(urlsplit(url).query))[name] for name in ("exp", "sig", "kid"))
        tampered = [
            changed(url, exp=str(int(exp) + 1)),
            changed(url, exp=f"0{exp}"),
            changed(url, exp="9" * 30),
            changed(url, exp="-1"),
            changed(url, exp=""),
            changed(url, exp=None),
            changed(url, sig=sig[:-1] + ("A" if sig[-1] != "A" else "B")),
            changed(url, sig=f"{sig}="),
            changed(url, sig=sig.upper()),
            changed(url, sig=""),
            changed(url, sig=None),
            changed(url, sig="é"),
            changed(url, kid="00000000"),
            changed(url, kid=f"{kid}0"),
            changed(url, kid=f" {kid}"),
            changed(url, kid=None),
            changed(url, disposition="attachment"),
            changed(url, filename="other.exe"),
            changed(url, **{"response-content-type": "text/html"}),
            changed(url, more=""),
            *(f"{url}&{name}={value}" for name, value in (("sig", sig), ("exp", exp), ("kid", kid))),
            f"{url}&sig=x",
            url.replace("?", "?sig=x&"),
            url.replace(str(file_id), str(other)),
            url.replace(str(file_id), str(file_id).upper()),
            url.replace(str(file_id), file_id.hex),
            url.replace(f"{file_id}/content", f"{file_id}/renditions/thumb/content"),
        ]
        for bad in tampered:
            assert_problem(anyone.get(bad), 403, "bad-signature")
        assert anyone.get(url).status_code == 200


def test_own_signed_url_with_a_disposition_keeps_to_it(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    url = sign(server, owner, file_id, disposition="attachment")
    if only_local(clean_backend):
        for bad in (
            changed(url, disposition=None),
            changed(url, disposition="inline"),
            changed(url, disposition="ATTACHMENT"),
            f"{url}&disposition=inline",
            url.replace("?", "?disposition=inline&"),
        ):
            assert_problem(anyone.get(bad), 403, "bad-signature")


def test_own_signed_url_of_a_missing_file_says_so_to_its_holder_alone(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    url = sign(server, owner, file_id)
    if only_local(clean_backend):
        # To everybody else a file that is not there looks like one that is.
        for bad in (url.replace(str(file_id), str(new_id())), changed(url, sig="x")):
            assert_problem(anyone.get(bad), 403, "bad-signature")
        server.client.delete(f"/v1/files/{file_id}", headers=owner.headers)
        assert_problem(anyone.get(url), 404, "not-found")
        assert_problem(anyone.get(changed(url, sig="x")), 403, "bad-signature")


def test_own_signed_urls_of_a_disabled_user_stop_at_once(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend, anyone: httpx2.Client
):
    mine, theirs = (add_file(clean_backend, user) for user in (owner, stranger))
    add_rendition(clean_backend, mine)
    urls = [sign(server, owner, mine), sign(server, owner, mine, rendition="thumb")]
    others = sign(server, stranger, theirs)

    def set_disabled(*, disabled: bool) -> None:
        answer = server.client.patch(f"/v1/users/{owner.id}", headers=ADMIN, json={"disabled": disabled})
        assert answer.status_code == 200

    set_disabled(disabled=True)
    if only_local(clean_backend):
        for url in urls:
            assert_problem(anyone.get(url), 404, "not-found")
            assert_problem(anyone.get(changed(url, sig="x")), 403, "bad-signature")
    assert anyone.get(others).status_code == 200
    set_disabled(disabled=False)
    for url in urls:
        assert anyone.get(url).status_code == 200


def test_own_signed_urls_of_a_deleted_user_stop_at_once(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    url = sign(server, owner, file_id)
    assert server.client.delete(f"/v1/users/{owner.id}", headers=ADMIN).status_code == 204
    if only_local(clean_backend):
        assert_problem(anyone.get(url), 404, "not-found")


def rotate(backend: Backend, *options: str) -> None:
    """As an operator does it, in a process of its own."""
    settings = backend.settings()
    env = {name: value for name, value in os.environ.items() if not name.startswith("MEDIA_")}
    subprocess.run(
        [sys.executable, "-m", "media_service.cli", "rotate-signing-key", *options],
        cwd=settings.data_dir,  # and not the checkout: there may be a developer's .env
        env={
            **env,
            "PYTHONPATH": str(PROJECT_ROOT),
            "MEDIA_DATABASE_URL": settings.effective_database_url,
            "MEDIA_DATA_DIR": str(settings.data_dir),
        },
        check=True,
        timeout=60,
    )


def kid_of(url: str) -> str:
    return dict(parse_qsl(urlsplit(url).query))["kid"]


def test_rotation_of_the_signing_key_breaks_no_live_url_in_any_process(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    old = sign(server, owner, file_id)
    rotate(clean_backend)
    fresh_of_old_key = sign(server, owner, file_id)
    if only_local(clean_backend):
        with ApiServer(clean_backend.settings) as second:
            new = sign(second, owner, file_id)
            assert kid_of(new) != kid_of(old)
            for url in (old, fresh_of_old_key, new):
                query = f"{urlsplit(url).path}?{urlsplit(url).query}"
                for process in (server, second):
                    assert anyone.get(f"{process.base_url}{query}").status_code == 200
            # Having met the new key, the first process signs with it, too.
            assert kid_of(sign(server, owner, file_id)) == kid_of(new)


def test_revoking_the_old_signing_keys_ends_what_they_signed(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    old = sign(server, owner, file_id)
    rotate(clean_backend, "--revoke-old")
    if only_local(clean_backend):
        server.app.state.downloads._keyring._read_at -= 60  # a minute passes
        assert_problem(anyone.get(old), 403, "bad-signature")
        assert anyone.get(sign(server, owner, file_id)).status_code == 200


def test_own_signed_url_ends_at_its_expiry(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    answer = server.client.get(
        f"/v1/files/{file_id}/url", headers=owner.headers, params={"expires_in": 1}
    ).json()
    if only_local(clean_backend):
        over = datetime.fromisoformat(answer["expires_at"]).timestamp() + 0.05
        time.sleep(max(over - time.time(), 0))
        assert_problem(anyone.get(answer["url"]), 410, "url-expired")


def test_s3_url_carries_its_expiry_and_a_sigv4_signature(
    server: ApiServer, owner: Owner, clean_backend: Backend, file_id: UUID
):
    url = sign(server, owner, file_id, expires_in=77)
    if clean_backend.is_s3:
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["X-Amz-Expires"] == "77"
        assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
        assert "checksum" not in url.lower()


def test_revoking_ends_the_urls_of_that_file_alone(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client, file_id: UUID
):
    other = add_file(clean_backend, owner)
    old, others = sign(server, owner, file_id), sign(server, owner, other)
    answer = server.client.post(f"/v1/files/{file_id}/revoke-urls", headers=owner.headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert anyone.get(others).status_code == 200
    assert anyone.get(sign(server, owner, file_id)).status_code == 200
    if only_local(clean_backend):
        assert_problem(anyone.get(old), 403, "bad-signature")


def test_download_redirects_to_a_signed_url(
    server: ApiServer, owner: Owner, anyone: httpx2.Client, file_id: UUID
):
    answer = server.client.get(
        f"/v1/files/{file_id}/download", headers=owner.headers, params={"disposition": "attachment"}
    )
    assert answer.status_code == 307
    assert answer.headers["Cache-Control"] == "no-store"
    downloaded = anyone.get(answer.headers["Location"])
    assert (downloaded.status_code, downloaded.content) == (200, DATA)
    assert downloaded.headers["Content-Disposition"].startswith("attachment; ")


@pytest.fixture
def public_id(server: ApiServer, owner: Owner, clean_backend: Backend) -> UUID:
    public = add_file(clean_backend, owner, visibility=Visibility.PUBLIC)
    add_rendition(clean_backend, public)
    return public


def test_strangers_are_redirected_to_a_public_file_by_nothing_that_outlives_a_cache(
    server: ApiServer, stranger: Owner, clean_backend: Backend, anyone: httpx2.Client, public_id: UUID
):
    for headers in ({}, stranger.headers):
        answer = server.client.get(
            f"/v1/files/{public_id}/download", headers=headers, params={"disposition": "attachment"}
        )
        assert (answer.status_code, answer.headers["Cache-Control"]) == (307, "no-store")
        location = answer.headers["Location"]
        if clean_backend.is_s3:
            assert dict(parse_qsl(urlsplit(location).query))["X-Amz-Expires"] == "300"
        else:
            assert location == f"{server.base_url}/v1/files/{public_id}/content?disposition=attachment"
        downloaded = anyone.get(location)
        assert downloaded.content == DATA
        assert downloaded.headers["Content-Disposition"].startswith("attachment; ")


def test_owner_and_admin_are_redirected_to_a_public_file_for_the_usual_time(
    server: ApiServer, owner: Owner, clean_backend: Backend, public_id: UUID
):
    for headers in (owner.headers, ADMIN):
        location = server.client.get(f"/v1/files/{public_id}/download", headers=headers).headers["Location"]
        query = dict(parse_qsl(urlsplit(location).query))
        if clean_backend.is_s3:
            assert query["X-Amz-Expires"] == "900"
        else:
            assert int(query["exp"]) > time.time() + 800


@pytest.mark.parametrize("rendition", [None, "thumb"])
def test_public_file_of_another_owner_is_not_given_away(
    server: ApiServer, stranger: Owner, public_id: UUID, rendition: str | None
):
    query = {} if rendition is None else {"rendition": rendition}
    one = server.client.get(f"/v1/files/{public_id}/url", headers=stranger.headers, params=query)
    items = [{"file_id": str(public_id), **query}]
    many = server.client.post("/v1/urls", headers=stranger.headers, json={"items": items})
    for answer in (one, many):
        assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_own_signed_urls_end_when_a_public_file_turns_private(
    server: ApiServer,
    owner: Owner,
    clean_backend: Backend,
    anyone: httpx2.Client,
    public_id: UUID,
    method: str,
):
    def change(**changes: Any) -> None:
        body = {"filename": "x.jpg", "tags": [], "custom": {}, **changes} if method == "PUT" else changes
        path = f"/v1/files/{public_id}"
        assert server.client.request(method, path, headers=owner.headers, json=body).status_code == 200

    url = sign(server, owner, public_id)
    change(visibility="public")
    assert anyone.get(url).status_code == 200
    change(visibility="private")
    if only_local(clean_backend):
        assert_problem(anyone.get(url), 403, "bad-signature")
    of_private = sign(server, owner, public_id)
    change(visibility="private")
    change(visibility="public")
    assert anyone.get(of_private).status_code == 200


@pytest.mark.parametrize("expires_in", [0, -1, 604_801, "x"])
def test_expiry_out_of_bounds_is_a_422(server: ApiServer, owner: Owner, file_id: UUID, expires_in: int | str):
    answer = server.client.get(
        f"/v1/files/{file_id}/url", headers=owner.headers, params={"expires_in": expires_in}
    )
    problem = assert_problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == ["/query/expires_in"]


@pytest.mark.parametrize("rendition", ["thumb", "nope", "\x00"])
def test_url_of_a_missing_rendition_is_a_404(server: ApiServer, owner: Owner, file_id: UUID, rendition: str):
    answer = server.client.get(
        f"/v1/files/{file_id}/url", headers=owner.headers, params={"rendition": rendition}
    )
    assert_problem(answer, 404, "rendition-not-found")


def test_batch_signs_many_in_their_order(
    server: ApiServer, owner: Owner, clean_backend: Backend, anyone: httpx2.Client
):
    contents = [b"one", b"two", b"three"]
    ids = [add_file(clean_backend, owner, data) for data in contents]
    add_rendition(clean_backend, ids[0], b"thumb of one")
    wanted: list[dict[str, Any]] = [{"file_id": str(file_id)} for file_id in ids]
    wanted.append({"file_id": str(ids[0]), "rendition": "thumb", "disposition": "attachment"})
    answer = server.client.post("/v1/urls", headers=owner.headers, json={"items": wanted, "expires_in": 60})
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [(item["file_id"], item["rendition"]) for item in items] == [
        (item["file_id"], item.get("rendition")) for item in wanted
    ]
    assert [anyone.get(item["url"]).content for item in items] == [*contents, b"thumb of one"]
    for item in items:
        assert datetime.fromisoformat(item["expires_at"]) < utc_now() + timedelta(seconds=62)


def test_batch_of_a_thousand_is_answered(server: ApiServer, owner: Owner, file_id: UUID):
    items = [{"file_id": str(file_id)}] * 1000
    answer = server.client.post("/v1/urls", headers=owner.headers, json={"items": items})
    assert len(answer.json()["items"]) == 1000


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": [{"file_id": "x"}]},
        {"items": [{}]},
        {"items": [{"file_id": str(new_id()), "more": 1}]},
        {"items": [{"file_id": str(new_id())}], "expires_in": 0},
        {"items": [{"file_id": str(new_id())}] * 1001},
    ],
)
def test_bad_batch_is_a_422(server: ApiServer, owner: Owner, body: dict[str, Any]):
    answer = server.client.post("/v1/urls", headers=owner.headers, json=body)
    assert_problem(answer, 422, "invalid-request")


def test_batch_with_one_file_of_another_owner_is_a_404_as_a_whole(
    server: ApiServer, owner: Owner, stranger: Owner, clean_backend: Backend, file_id: UUID
):
    theirs = add_file(clean_backend, stranger)
    items = [{"file_id": str(file_id)}, {"file_id": str(theirs)}]
    answer = server.client.post("/v1/urls", headers=owner.headers, json={"items": items})
    assert_problem(answer, 404, "not-found")
