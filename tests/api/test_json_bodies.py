"""Bodies of JSON: credentials come first, and nobody sends more than an answer could need."""

import json

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN
from tests.support.raw_http import RawConnection

TOO_MUCH = 2 * 1024 * 1024

FILE_ID = "01a21402-54ae-763a-bcc5-3e47a79be43e"
"""Of no file."""
OPERATIONS = [
    ("PATCH", f"/v1/files/{FILE_ID}"),
    ("PUT", f"/v1/files/{FILE_ID}"),
    ("POST", f"/v1/files/{FILE_ID}/process"),
    ("POST", "/v1/urls"),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_credentials_no_byte_of_json_is_read(server: ApiServer, method: str, path: str):
    headers = {"Content-Type": "application/json", "Content-Length": "100"}
    with RawConnection(server.port) as connection:
        connection.send_head(method, path, headers)
        assert connection.receive_head().startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_json_of_a_declared_length_that_nobody_needs_is_refused_at_once(
    server: ApiServer, method: str, path: str
):
    headers = {**ADMIN, "Content-Type": "application/json", "Content-Length": str(TOO_MUCH)}
    with RawConnection(server.port) as connection:
        connection.send_head(method, path, headers)
        answer = connection.answer()
        assert (answer.status, answer.getheader("Connection")) == (413, "close")
        assert json.loads(answer.read())["code"] == "body-too-large"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_json_that_grows_too_long_without_saying_so_is_refused(server: ApiServer, method: str, path: str):
    headers = {**ADMIN, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with RawConnection(server.port) as connection:
        connection.send_head(method, path, headers)
        for _ in range(TOO_MUCH // 65536):
            connection.send_chunk(b" " * 65536)
        assert connection.answer().status == 413
