"""The watch over the logs of the whole run finds what it is there to find."""

import logging

import pytest

from tests.support.accounts import PASSWORD
from tests.support.log_watch import secrets_in, text_of

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIwMTkwIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    "line",
    [
        '{"path": "/v1/files", "key": "msk_0a1b2c3d_0123456789abcdefghij"}',
        '{"token": "mut_0a1b2c3d_0123456789abcdefghij"}',
        '{"token": "msr_0123456789abcdefghij"}',
        f'{{"token": "{TOKEN}"}}',
        '{"url": "http://h/v1/signed/files/1/content?exp=1&kid=a&sig=0123456789abcdef"}',
        '{"url": "http://s3/b/k?X-Amz-Signature=0123456789abcdef"}',
        '{"header": "Bearer 0123456789"}',
        '{"hash": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"}',
        f'{{"password": "{PASSWORD}"}}',
        '{"key": "known-one"}',
    ],
)
def test_secret_in_a_line_is_found(line: str):
    assert list(secrets_in(f"before\n{line}\nafter", known=("known-one",))) == [line]


def test_usual_lines_and_the_one_that_shows_a_new_key_pass():
    text = (
        '{"event": "request", "path": "/v1/files", "query": "q=cat", "kid": "1a2b3c4d"}\n'
        "Admin API key (shown only this once): msk_0a1b2c3d_0123456789abcdefghij\n"
    )
    assert list(secrets_in(text)) == []


def test_text_of_a_record_has_its_arguments_and_its_traceback():
    info = (ValueError, ValueError(TOKEN), None)
    record = logging.LogRecord("ours", logging.ERROR, "x.py", 1, {"event": "a"}, ("argument",), info)
    text = text_of(record)
    assert "argument" in text
    assert list(secrets_in(text)) == [text]
