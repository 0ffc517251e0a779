"""Access tokens: what is taken for one, and above all what is not."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from media_service.auth.shapes import is_access_token
from media_service.auth.tokens import (
    AUDIENCE,
    AccessToken,
    AccessTokens,
    key_id_of,
    new_refresh_token,
)
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.models import new_id, utc_now

SECRET = b"s" * 32
KEY = ("kid1", SECRET)
ISSUER = "https://media.example"
TOKENS = AccessTokens(issuer=ISSUER, lifetime=timedelta(minutes=15))
TOKEN = AccessToken(new_id(), new_id(), frozenset({"files:read", "keys"}))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(utc_now().timestamp())
    all_claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(new_id()),
        "sid": str(new_id()),
        "jti": "1",
        "iat": now,
        "exp": now + 60,
        "scope": "files:read",
        **changes,
    }
    return {name: value for name, value in all_claims.items() if value is not None}


def signed(secret: bytes = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_token_says_what_was_put_into_it():
    text = TOKENS.issue(TOKEN, key=KEY, at=utc_now())
    assert is_access_token(text)
    assert key_id_of(text) == "kid1"
    assert TOKENS.read(text, secret=SECRET) == TOKEN


def test_token_carries_the_registered_claims():
    at = datetime(2030, 1, 1, tzinfo=UTC)
    text = TOKENS.issue(TOKEN, key=KEY, at=at)
    found = jwt.decode(text, options={"verify_signature": False})
    assert (found["iss"], found["aud"], found["sub"]) == (ISSUER, AUDIENCE, str(TOKEN.user_id))
    assert found["exp"] - found["iat"] == 900
    assert (
        found["jti"]
        != jwt.decode(TOKENS.issue(TOKEN, key=KEY, at=at), options={"verify_signature": False})["jti"]
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TOKENS.issue(TOKEN, key=KEY, at=utc_now() - timedelta(minutes=16)), id="over"),
        pytest.param(TOKENS.issue(TOKEN, key=("kid1", b"o" * 32), at=utc_now()), id="other-secret"),
        pytest.param(signed(iss="https://other.example"), id="other-issuer"),
        pytest.param(signed(aud="other"), id="other-audience"),
        pytest.param(signed(secret=SECRET * 2, algorithm="HS512"), id="other-algorithm"),
        pytest.param(f"{encoded({'alg': 'none'})}.{encoded(claims())}.", id="no-algorithm"),
        pytest.param(signed(exp=None), id="no-expiry"),
        pytest.param(signed(sid=None), id="no-session"),
        pytest.param(signed(scope=None), id="no-scope"),
        pytest.param(signed(sub="nobody"), id="strange-subject"),
        pytest.param(signed(sid=7), id="strange-session"),
        pytest.param("eyJ.eyJ.x", id="garbage"),
    ],
)
def test_token_that_is_not_ours_or_over_is_refused(text: str):
    with pytest.raises(MediaServiceError) as caught:
        TOKENS.read(text, secret=SECRET)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "invalid-credentials")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "typ": "JWT", "kid": "kid1"},
        {"alg": "HS256", "typ": "at+jwt"},
        {"alg": "HS256", "typ": "at+jwt", "kid": 7},
    ],
)
def test_token_of_another_type_or_without_a_key_id_is_refused(header: dict[str, Any]):
    with pytest.raises(MediaServiceError):
        key_id_of(f"{encoded(header)}.{encoded(claims())}.AAAA")


def test_header_that_is_nested_too_deeply_is_refused():
    nested = '{"a":' + "[" * 20_000 + "]" * 20_000 + "}"
    header = base64.urlsafe_b64encode(nested.encode()).rstrip(b"=").decode()
    with pytest.raises(MediaServiceError):
        key_id_of(f"{header}.{encoded(claims())}.AAAA")


@pytest.mark.parametrize(
    "text",
    ["msk_01_secret", pytest.param(new_refresh_token(), id="refresh"), "a.b.c", "eyJ.only-one-dot", ""],
)
def test_other_credentials_do_not_look_like_access_tokens(text: str):
    assert not is_access_token(text)


def test_refresh_tokens_are_told_by_their_beginning_and_never_alike():
    tokens = {new_refresh_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("msr_") and len(token) == 47 for token in tokens)
