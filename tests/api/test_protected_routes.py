"""Who gets in: every route, tried as nobody, as somebody else, and with credentials that are not good.

The routes are those of the application, so a new one is tried here without a word.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from media_service.auth.models import Role, TokenKey, UploadToken
from media_service.auth.scopes import Scope
from media_service.auth.tokens import AccessToken, AccessTokens
from media_service.files.models import File
from media_service.jobs.models import Job
from media_service.main import create_app
from media_service.models import new_id, utc_now
from media_service.rate_limits.classes import RateClass
from media_service.web.openapi import UNLIMITED_PATHS
from tests.support import images
from tests.support.accounts import log_in, make_account, make_key, make_upload_token
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend, Owner, make_settings
from tests.support.problems import assert_problem
from tests.support.routes import WalkedRoute, walk

PUBLIC = {
    "/livez",
    "/readyz",
    "/docs",
    "/static-offline-docs",
    "/redoc",
    "/openapi.json",
    "/problems",
    "/problems/{code}",
    "/v1/auth/token",
    "/v1/auth/refresh",
    "/v1/auth/register",
}
"""API.md, "Credentials": what answers without any."""
UNLIMITED = {
    "/livez",
    "/readyz",
    "/docs",
    "/static-offline-docs",
    "/redoc",
    "/openapi.json",
    "/problems",
    "/problems/{code}",
}
"""docs/reference/rate-limits.md: what is asked by probes, and what is the same for everybody."""
DISCOVERY = {"OPTIONS /v1/uploads", "OPTIONS /v1/uploads/{upload_id}"}
"""API.md lets OPTIONS answer to anybody."""
PUBLIC_FILES = {
    "/v1/files/{file_id}/content",
    "/v1/files/{file_id}/renditions/{name}/content",
    "/v1/files/{file_id}/download",
}
"""What answers without credentials if the file is public."""
SIGNED = {
    "/v1/signed/files/{file_id}/content",
    "/v1/signed/files/{file_id}/renditions/{name}/content",
    "/v1/signed/uploads/{upload_id}/parts/{number}",
    "/v1/signed/uploads/{upload_id}/form",
}
"""What asks for a signature instead."""
BY_TOKEN = "/v1/companion/{upload_token}/"
"""What asks for an upload token in its path (`test_companion.py`)."""

WITHOUT_SCOPE = {"GET /v1/me", "GET /v1/me/usage", "PATCH /v1/me", "POST /v1/auth/logout"}
"""What is the caller's own whatever the credential may do."""

UPLOADS = {
    "POST /v1/files",
    "POST /v1/uploads",
    *(f"{method} /v1/uploads/{{upload_id}}" for method in ("GET", "PATCH", "POST", "DELETE")),
    "POST /v1/uploads/direct",
    *(f"{method} /v1/uploads/direct/{{upload_id}}" for method in ("GET", "DELETE")),
    "GET /v1/uploads/direct/{upload_id}/parts",
    "POST /v1/uploads/direct/{upload_id}/complete",
    "GET /v1/s3/params",
    "POST /v1/s3/multipart",
    *(f"{method} /v1/s3/multipart/{{upload_id}}" for method in ("GET", "DELETE")),
    "GET /v1/s3/multipart/{upload_id}/batch",
    "GET /v1/s3/multipart/{upload_id}/{number}",
    "POST /v1/s3/multipart/{upload_id}/complete",
}
"""What an upload token is good for. A route belongs here only if it binds uploads by `uploads/grants.py`."""

HEADERS = {
    f"{method} /v1/uploads/{{upload_id}}": {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
        "X-HTTP-Method-Override": "PATCH",
    }
    for method in ("PATCH", "POST")
}
BODIES: dict[str, Any] = {
    "PATCH /v1/files/{file_id}": {"tags": []},
    "POST /v1/s3/multipart/{upload_id}/complete": {"parts": []},
    "PUT /v1/files/{file_id}": {"filename": "x", "visibility": "public", "tags": [], "custom": {}},
}
"""Where a route must be asked something sensible to look for its file."""

ROUTES = walk(create_app(make_settings({})))
PROTECTED = [route for route in ROUTES if route.needs_caller]


def test_every_route_needs_a_caller_or_is_on_the_short_list_of_public_ones():
    open_paths = {
        route.path
        for route in ROUTES
        if not route.needs_caller and str(route) not in DISCOVERY and not route.path.startswith(BY_TOKEN)
    }
    assert open_paths == PUBLIC | PUBLIC_FILES | SIGNED
    assert len(PROTECTED) >= 20


def test_public_files_are_asked_for_with_the_caller_at_hand():
    assert {route.path for route in ROUTES if route.knows_caller and not route.needs_caller} == PUBLIC_FILES


def test_every_protected_route_asks_for_a_scope_unless_it_is_about_the_caller():
    assert {str(route) for route in PROTECTED if route.scope is None} == WITHOUT_SCOPE


def test_every_route_has_a_class_of_rate_limit_but_for_those_that_watch_or_explain():
    """A route without one: give its router `dependencies=[Depends(RateLimit(...))]`."""
    assert {route.path for route in ROUTES if route.rate_class is None} == UNLIMITED
    assert UNLIMITED_PATHS <= UNLIMITED


def test_classes_of_rate_limits_are_what_the_routes_do():
    found = {str(route): route.rate_class for route in ROUTES}
    assert found["POST /v1/files"] == RateClass.UPLOAD
    assert found["POST /v1/auth/token"] == RateClass.LOGIN
    assert found["POST /v1/auth/register"] == RateClass.REGISTER
    for route in ROUTES:
        if route.path.endswith("/content"):
            assert route.rate_class == RateClass.CONTENT, str(route)
        elif route.rate_class == RateClass.READ:
            assert route.method in {"GET", "OPTIONS"}, str(route)


def test_upload_tokens_are_taken_by_uploads_alone():
    assert {str(route) for route in ROUTES if route.takes_upload_tokens} == UPLOADS


def ids(**known: object) -> dict[str, str]:
    """Ids for the paths: unknown ones, unless they are known."""
    names = ("file_id", "job_id", "key_id", "user_id", "token_id", "upload_id")
    return {
        **{name: str(new_id()) for name in names},
        "name": "thumb",
        "number": "1",
        **{k: str(v) for k, v in known.items()},
    }


def ask(
    server: ApiServer, headers: dict[str, str], route: WalkedRoute, values: dict[str, str]
) -> httpx2.Response:
    body = BODIES.get(str(route), {})
    if str(route) == "POST /v1/urls":
        body = {"items": [{"file_id": values["file_id"]}]}
    has_body = route.method in {"PATCH", "PUT", "POST"} and route.path != "/v1/files"
    path = route.path.format(**values)
    headers = {**headers, **HEADERS.get(str(route), {})}
    return server.client.request(route.method, path, headers=headers, json=body if has_body else None)


def nobody(server: ApiServer, backend: Backend) -> dict[str, str]:
    return {}


def unknown_key(server: ApiServer, backend: Backend) -> dict[str, str]:
    return {"X-API-Key": "msk_00000000_unknown"}


def refresh_token(server: ApiServer, backend: Backend) -> dict[str, str]:
    return {"Authorization": f"Bearer {log_in(server, make_account(server)).refresh_token}"}


def expired_key(server: ApiServer, backend: Backend) -> dict[str, str]:
    past = utc_now() - timedelta(seconds=1)
    return backend.add_owner(scopes=("admin",), role=Role.ADMIN, expires_at=past).headers


def revoked_key(server: ApiServer, backend: Backend) -> dict[str, str]:
    return backend.add_owner(scopes=("admin",), role=Role.ADMIN, revoked_at=utc_now()).headers


def key_of_a_disabled_user(server: ApiServer, backend: Backend) -> dict[str, str]:
    admin = backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    server.client.patch(f"/v1/users/{admin.id}", headers=ADMIN, json={"disabled": True})
    return admin.headers


def token_of_a_disabled_user(server: ApiServer, backend: Backend) -> dict[str, str]:
    account = make_account(server, role="admin")
    login = log_in(server, account)
    server.client.patch(f"/v1/users/{account.id}", headers=ADMIN, json={"disabled": True})
    return login.headers


def token_of_an_ended_login(server: ApiServer, backend: Backend) -> dict[str, str]:
    login = log_in(server, make_account(server, role="admin"))
    server.client.post("/v1/auth/logout", headers=login.headers)
    return login.headers


def token_of_a_deleted_user(server: ApiServer, backend: Backend) -> dict[str, str]:
    account = make_account(server, role="admin")
    login = log_in(server, account)
    server.client.delete(f"/v1/users/{account.id}", headers=ADMIN)
    return login.headers


def expired_token(server: ApiServer, backend: Backend) -> dict[str, str]:
    account = make_account(server, role="admin")
    log_in(server, account)
    key = max(backend.rows(TokenKey), key=lambda row: row.created_at)
    text = AccessTokens(issuer=server.base_url, lifetime=timedelta(minutes=15)).issue(
        AccessToken(UUID(account.id), new_id(), frozenset({"admin"})),
        key=(key.kid, key.secret),
        at=utc_now() - timedelta(minutes=16),
    )
    return {"Authorization": f"Bearer {text}"}


def expired_upload_token(server: ApiServer, backend: Backend) -> dict[str, str]:
    shown, headers = make_upload_token(server, ADMIN)
    with backend.database.transaction() as session:
        session.get_one(UploadToken, UUID(shown["id"])).expires_at = utc_now()
    return headers


def revoked_upload_token(server: ApiServer, backend: Backend) -> dict[str, str]:
    shown, headers = make_upload_token(server, ADMIN)
    assert server.client.delete(f"/v1/upload-tokens/{shown['id']}", headers=ADMIN).status_code == 204
    return headers


def upload_token_of_a_disabled_user(server: ApiServer, backend: Backend) -> dict[str, str]:
    admin = backend.add_owner(scopes=("admin",), role=Role.ADMIN)
    _, headers = make_upload_token(server, admin.headers)
    server.client.patch(f"/v1/users/{admin.id}", headers=ADMIN, json={"disabled": True})
    return headers


@pytest.mark.parametrize(
    "credential",
    [
        nobody,
        unknown_key,
        refresh_token,
        expired_key,
        revoked_key,
        key_of_a_disabled_user,
        token_of_a_disabled_user,
        token_of_an_ended_login,
        token_of_a_deleted_user,
        expired_token,
        expired_upload_token,
        revoked_upload_token,
        upload_token_of_a_disabled_user,
    ],
)
def test_no_route_lets_in_who_has_no_good_credential(
    server: ApiServer,
    owner: Owner,
    clean_backend: Backend,
    credential: Callable[[ApiServer, Backend], dict[str, str]],
):
    headers = credential(server, clean_backend)
    code = "invalid-credentials" if headers else "missing-credentials"
    values = ids(file_id=upload(server, owner.headers))
    for route in ROUTES:
        if route.knows_caller:
            answer = ask(server, headers, route, values)
            assert answer.status_code == 401, str(route)
            if route.method != "HEAD":
                assert_problem(answer, 401, code)
    assert [row.version for row in clean_backend.rows(File)] == [1]


@pytest.mark.parametrize("max_files", [1, 2], ids=["used up", "still good"])
def test_upload_token_of_an_admin_opens_no_route_but_uploads(
    server: ApiServer, clean_backend: Backend, max_files: int
):
    _, token = make_upload_token(server, ADMIN, max_files=max_files)
    values = ids(file_id=upload(server, token))
    tried = 0
    for route in ROUTES:
        if route.knows_caller and not route.takes_upload_tokens:
            answer = ask(server, token, route, values)
            assert answer.status_code == 403, str(route)
            if route.method != "HEAD":
                assert_problem(answer, 403, "missing-scope")
            tried += 1
    assert tried >= 25
    assert [row.version for row in clean_backend.rows(File)] == [1]


def upload(server: ApiServer, headers: dict[str, str]) -> str:
    answer = server.client.post("/v1/files", headers=headers, files={"file": ("a.jpg", images.jpeg(8, 8))})
    file_id: str = answer.json()["items"][0]["id"]
    return file_id


@pytest.mark.parametrize("scope", list(Scope))
def test_no_route_lets_in_a_key_without_its_scope(server: ApiServer, clean_backend: Backend, scope: Scope):
    others = tuple(other for other in Scope if other not in {scope, Scope.ADMIN})
    key = clean_backend.add_owner(scopes=others, role=Role.ADMIN)
    for route in PROTECTED:
        if route.scope == scope:
            assert_problem(ask(server, key.headers, route, ids()), 403, "missing-scope", scope=scope)


def test_every_route_of_somebody_elses_thing_is_a_404(server: ApiServer, clean_backend: Backend):
    owner = log_in(server, make_account(server))
    stranger = log_in(server, make_account(server))
    key, key_headers = make_key(server, owner.headers, "files:read")
    upload_token, token_headers = make_upload_token(server, owner.headers)
    file_id = upload(server, owner.headers)
    [job] = clean_backend.rows(Job)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "3"}
    upload_url = server.client.post("/v1/uploads", headers={**owner.headers, **tus}).headers["Location"]
    values = ids(
        file_id=file_id,
        job_id=job.id,
        key_id=key["id"],
        token_id=upload_token["id"],
        upload_id=upload_url.rpartition("/")[2],
    )
    tried = 0
    for route in ROUTES:
        if not route.knows_caller or not ("{" in route.path or route.path == "/v1/urls"):
            continue
        answer = ask(server, stranger.headers, route, values)
        assert answer.status_code == (403 if route.scope == Scope.ADMIN else 404), str(route)
        tried += 1
    assert tried >= 18
    assert [row.version for row in clean_backend.rows(File)] == [1]
    assert server.client.get("/v1/me", headers=key_headers).status_code == 200
    assert upload(server, token_headers)
