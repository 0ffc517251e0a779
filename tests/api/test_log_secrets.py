"""No secret and no name of a file in any line of the log, whatever goes well or wrong."""

import io
import json
from collections.abc import Iterator
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest

from media_service.storage.port import Storage
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, ADMIN_KEY, Backend, Owner
from tests.support.logs import lines_of, written_log
from tests.support.moto_server import ENVIRONMENT
from tests.support.raw_http import exchange

CLIENTS = ("httpx", "httpcore", "werkzeug")
"""Loggers of the test's own side, which shares the process."""

NAME = "quarterly-layoffs.pdf"
WRONG_KEY = "msk_0a1b2c3d_wrong-key-of-somebody"
WRONG_TOKEN = "mut_0a1b2c3d_short-secret"
"""Shorter than tokens are: a traceback has it until the formatter takes it out, and the run's own watch over
all records (`tests/support`) would take a real one for a leak."""
REPEAT_KEY = "idempotency-0123456789"
CUSTOM = "the-patient-has-gout"
SIGNATURES = ("sig", "X-Amz-Signature", "X-Amz-Credential")


@pytest.fixture
def owner(clean_backend: Backend) -> Owner:
    return clean_backend.add_owner()


def out_of_order(storage: Storage) -> Storage:
    """One whose every call is a defect."""
    return cast("Storage", object())


def requests_of_a_day(server: ApiServer, owner: Owner) -> Iterator[str]:
    """Do what users do, well and badly; gives the secrets that came up on the way."""
    client, headers = server.client, {**owner.headers, "Idempotency-Key": REPEAT_KEY}
    form = {"file": (NAME, b"some words")}
    posted = client.post("/v1/files", headers=headers, files=form, data={"custom": json.dumps({"a": CUSTOM})})
    assert posted.status_code == 201
    path = f"/v1/files/{posted.json()['items'][0]['id']}"
    raw = {**owner.headers, "Content-Disposition": f'attachment; filename="{NAME}"'}
    assert client.post("/v1/files", headers=raw, content=b"words").status_code == 201
    assert client.post(f"/v1/files?filename={NAME}", headers=owner.headers, content=b"x").status_code == 201
    assert client.get(f"/v1/files?q={NAME}", headers={"X-API-Key": owner.key}).json()["items"]
    assert client.patch(path, headers=owner.headers, json={"filename": f"2-{NAME}"}).status_code == 200
    assert client.get(f"{path}/content", headers=owner.headers).status_code == 200

    url = client.get(f"{path}/url", headers=owner.headers).json()["url"]
    location = client.get(f"{path}/download", headers=owner.headers).headers["Location"]
    for link in (url, location):
        query = parse_qs(urlsplit(link).query)
        yield from (query[name][0] for name in SIGNATURES if name in query)
        assert client.get(link).status_code == 200
        if link.startswith(server.base_url):
            assert client.get(link.replace("sig=", "sig=x")).status_code == 403

    token = client.post("/v1/upload-tokens", headers=owner.headers, json={}).json()["token"]
    yield token
    yield token.split("_", 2)[2]
    by_token = {"Authorization": f"Bearer {token}"}
    assert client.post("/v1/files", headers=by_token, files=form).status_code == 201
    assert client.post("/v1/files", headers=by_token, files=form).status_code == 403
    assert client.get("/v1/files", headers={"X-API-Key": token + "x"}).status_code == 401
    assert client.get(f"/v1/companion/{token}/s3/params?type={token}").status_code == 403
    assert client.get(f"/test/crash/{WRONG_TOKEN}").status_code == 500
    yield WRONG_TOKEN

    for bad in ({"X-API-Key": WRONG_KEY}, {"Authorization": f"Bearer {WRONG_KEY}"}):
        assert client.get("/v1/files", headers=bad).status_code == 401
    assert client.post("/v1/urls", headers=ADMIN, json={"items": WRONG_KEY}).status_code == 422
    assert client.get(f"/v1/{WRONG_KEY}/{NAME}", headers=ADMIN).status_code == 404
    assert client.get(f"/test/crash?key={WRONG_KEY}", headers=ADMIN).status_code == 500
    with server.storage_wrapped(out_of_order):
        assert client.post("/v1/files", headers=ADMIN, files=form).status_code >= 500
    [refused] = exchange(
        server.port, [f"GET /{NAME} HTTP/1.1\r\nAuthorization: Bearer {WRONG_KEY}\r\n\r\n".encode()]
    )
    assert refused.status == 400


def text_of(log: io.StringIO) -> str:
    """The lines of the service, as one text."""
    ours = [line for line in lines_of(log) if not line["logger"].startswith(CLIENTS)]
    assert len(ours) >= 18
    return json.dumps(ours)


def test_log_of_a_day_has_no_credential_no_signature_and_no_name(backend: Backend, owner: Owner):
    with written_log() as log:
        server = ApiServer(backend.settings)

        @server.app.get("/test/crash")
        async def crash() -> None:
            raise ZeroDivisionError

        @server.app.get("/test/crash/{name}")
        async def crash_with(name: str) -> None:
            raise LookupError(name)

        with server:
            signatures = set(requests_of_a_day(server, owner))
    assert signatures
    secrets = {ADMIN_KEY, owner.key, owner.key.split("_", 2)[2], WRONG_KEY, REPEAT_KEY, CUSTOM, *signatures}
    keys_of_s3 = {ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]} if backend.is_s3 else set()
    text = text_of(log)
    assert [word for word in (*secrets, *keys_of_s3, NAME, "layoffs", "Bearer", "?sig") if word in text] == []
