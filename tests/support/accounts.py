"""Users of the tests, made and logged in through the API."""

from dataclasses import dataclass
from typing import Any

import httpx2

from media_service.models import new_id
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a password."""

    id: str
    email: str


@dataclass(frozen=True, slots=True)
class Login:
    """The tokens of one login."""

    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


def make_account(server: ApiServer, **fields: Any) -> Account:
    """A new user, as an admin makes one."""
    body = {"email": f"{new_id()}@example.org", "password": PASSWORD, **fields}
    answer = server.client.post("/v1/users", headers=ADMIN, json=body)
    assert answer.status_code == 201, answer.text
    return Account(answer.json()["id"], answer.json()["email"])


def ask_for_tokens(server: ApiServer, email: str, password: str = PASSWORD, **fields: str) -> httpx2.Response:
    form = {"grant_type": "password", "username": email, "password": password, **fields}
    return server.client.post("/v1/auth/token", data=form)


def log_in(server: ApiServer, account: Account, password: str = PASSWORD, **fields: str) -> Login:
    return login_of(ask_for_tokens(server, account.email, password, **fields))


def refresh(server: ApiServer, refresh_token: str) -> httpx2.Response:
    return server.client.post("/v1/auth/refresh", json={"refresh_token": refresh_token})


def login_of(answer: httpx2.Response) -> Login:
    assert answer.status_code == 200, answer.text
    return Login(answer.json()["access_token"], answer.json()["refresh_token"])


def make_key(
    server: ApiServer, headers: dict[str, str], *scopes: str, **fields: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """A new API key as it was shown, and the headers that use it."""
    body = {"name": "test", "scopes": list(scopes), **fields}
    answer = server.client.post("/v1/api-keys", headers=headers, json=body)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown, {"Authorization": f"Bearer {shown['key']}"}


def make_upload_token(
    server: ApiServer, headers: dict[str, str], **terms: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """A new upload token as it was shown, and the headers that use it."""
    answer = server.client.post("/v1/upload-tokens", headers=headers, json=terms)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown, {"Authorization": f"Bearer {shown['token']}"}


def status_of(server: ApiServer, headers: dict[str, str]) -> int:
    """What these credentials get for asking who they are."""
    return server.client.get("/v1/me", headers=headers).status_code
