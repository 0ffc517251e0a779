"""No password, token or key gets into a log line, however much is logged."""

import logging

import pytest

from tests.support.accounts import PASSWORD, ask_for_tokens, log_in, make_account, make_key, refresh
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN_KEY

NEW_PASSWORD = "another battery staple"


def test_no_secret_is_logged(open_server: ApiServer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    server = open_server
    server.client.post("/v1/auth/register", json={"email": "a@example.org", "password": PASSWORD})
    server.client.post("/v1/auth/register", json={"email": "no address", "password": PASSWORD})
    account = make_account(server)
    ask_for_tokens(server, account.email, "a wrong password")
    ask_for_tokens(server, account.email, scope="admin")
    login = log_in(server, account)
    new = refresh(server, login.refresh_token).json()
    refresh(server, login.refresh_token)  # reused
    last = log_in(server, account)
    shown, headers = make_key(server, last.headers, "files:read")
    server.client.get("/v1/files", headers=headers)
    server.client.get("/v1/files", headers={"X-API-Key": shown["key"] + "x"})
    server.client.get("/v1/files", headers={"Authorization": f"Bearer {last.access_token}x"})
    body = {"password": NEW_PASSWORD, "current_password": PASSWORD}
    assert server.client.patch("/v1/me", headers=last.headers, json=body).status_code == 200

    text = caplog.text
    for event in ("login.begun", "login.refresh_token_reused", "api_key.created", "user.registered"):
        assert event in text
    secrets = [PASSWORD, NEW_PASSWORD, "a wrong password", ADMIN_KEY, shown["key"], shown["key"][-32:]]
    for tokens in (login, last):
        secrets += [tokens.access_token, tokens.refresh_token, tokens.access_token.rpartition(".")[2]]
    secrets += [new["access_token"], new["refresh_token"]]
    for secret in secrets:
        assert secret not in text
