"""Requests sent before the answers to those before them: each has its own, or none."""

import pytest

from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.raw_http import exchange

KEY = f"Authorization: {ADMIN['Authorization']}\r\n"
UPLOAD = f"POST /v1/files HTTP/1.1\r\nHost: a\r\n{KEY}Content-Length: 4\r\n\r\nbody".encode()
LIST = f"GET /v1/files HTTP/1.1\r\nHost: a\r\n{KEY}\r\n".encode()
BAD_CHUNK = f"POST /v1/files HTTP/1.1\r\nHost: a\r\n{KEY}Transfer-Encoding: chunked\r\n\r\nnone\r\n".encode()


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (UPLOAD + LIST + UPLOAD + b"garbage\r\n\r\n", [201, 200, 201]),
        (UPLOAD + b"garbage\r\n\r\n", [201]),
        (UPLOAD + BAD_CHUNK, [201]),
        (UPLOAD + LIST + BAD_CHUNK, [201, 200]),
        (BAD_CHUNK, [400]),
    ],
    ids=["garbage behind three", "garbage behind one", "a bad chunk behind one", "behind two", "alone"],
)
def test_what_is_wrong_behind_whole_requests_takes_no_answer_of_theirs(
    api_server: ApiServer, clean_backend: Backend, sent: bytes, statuses: list[int]
):
    answers = exchange(api_server.port, [sent], timeout_seconds=10)
    assert [answer.status for answer in answers] == statuses
