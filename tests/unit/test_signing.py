"""Signed URLs, cursors and API keys: what we gave we know again, and nothing else."""

import base64
import string
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_service.auth.keys import digest_of, generate_key, shown_prefix
from media_service.auth.models import KeyOrigin
from media_service.auth.signing import UrlSigner, single_valued
from media_service.exceptions import ErrorKind, MediaServiceError

SIGNER = UrlSigner({"new": b"n" * 32, "old": b"o" * 32})
PATH = "/v1/signed/files/1/content"
LETTERS = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}-_"
"""Of base64 for URLs (RFC 4648 §5), in their order."""


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def refused(path: str, query: dict[str, str], *, epoch: int = 0, now: float = 0) -> ErrorKind:
    with pytest.raises(MediaServiceError) as caught:
        SIGNER.verify(path, query, epoch=epoch, now=now)
    return caught.value.kind


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = TEXT.filter(lambda name: name not in {"", "exp", "kid", "sig"})


@given(st.dictionaries(NAMES, TEXT), st.integers(0, 10**11), st.integers(0, 100))
def test_what_was_signed_is_verified(parameters: dict[str, str], expires_at: int, epoch: int):
    url = SIGNER.sign(PATH, parameters, expires_at=expires_at, epoch=epoch)
    assert SIGNER.verify(PATH, query_of(url), epoch=epoch, now=0) == expires_at


def test_order_of_parameters_does_not_matter():
    query = query_of(SIGNER.sign(PATH, {"a": "1", "b": "2"}, expires_at=9, epoch=0))
    assert SIGNER.verify(PATH, dict(reversed(query.items())), epoch=0, now=0) == 9


def test_first_key_signs_and_all_verify():
    assert query_of(SIGNER.sign(PATH, {}, expires_at=9, epoch=0))["kid"] == "new"
    by_old = UrlSigner({"old": b"o" * 32}).sign(PATH, {}, expires_at=9, epoch=0)
    assert SIGNER.verify(PATH, query_of(by_old), epoch=0, now=0) == 9


def test_key_that_was_retired_verifies_no_more():
    url = SIGNER.sign(PATH, {}, expires_at=9, epoch=0)
    with pytest.raises(MediaServiceError):
        UrlSigner({"old": b"o" * 32}).verify(PATH, query_of(url), epoch=0, now=0)


def test_expiry_is_gone_and_not_before():
    query = query_of(SIGNER.sign(PATH, {}, expires_at=100, epoch=0))
    assert SIGNER.verify(PATH, query, epoch=0, now=100) == 100
    assert refused(PATH, query, now=100.1) is ErrorKind.GONE


def test_every_change_is_forbidden():
    query = query_of(SIGNER.sign(PATH, {"disposition": "inline"}, expires_at=100, epoch=1))
    assert refused(f"{PATH}/", query, epoch=1) is ErrorKind.FORBIDDEN
    assert refused(PATH, query, epoch=2) is ErrorKind.FORBIDDEN
    for name in query:
        assert refused(PATH, {**query, name: query[name] + "0"}, epoch=1) is ErrorKind.FORBIDDEN
        missing = {key: value for key, value in query.items() if key != name}
        assert refused(PATH, missing, epoch=1) is ErrorKind.FORBIDDEN
    assert refused(PATH, {**query, "more": ""}, epoch=1) is ErrorKind.FORBIDDEN


@pytest.mark.parametrize(
    "spelled", ["0100", "+100", " 100", "100.0", "1_00", "\uff11\uff10\uff10", "100 ", "1e2", "-100"]
)
def test_expiry_has_one_spelling(spelled: str):
    query = query_of(SIGNER.sign(PATH, {}, expires_at=100, epoch=0))
    assert refused(PATH, {**query, "exp": spelled}) is ErrorKind.FORBIDDEN


def test_signature_has_one_spelling():
    query = query_of(SIGNER.sign(PATH, {}, expires_at=100, epoch=0))
    sig = query["sig"]
    raw = base64.urlsafe_b64decode(f"{sig}=")
    last = LETTERS[LETTERS.index(sig[-1]) ^ 1]  # 43 letters carry 258 bits: two of the last one are not used
    assert base64.urlsafe_b64decode(f"{sig[:-1]}{last}=") == raw
    padded = (f"{sig}=", f"{sig}==", f" {sig}", f"{sig}\n", f"{sig[:-1]}{last}")
    others = (raw.hex(), raw.hex().upper(), sig.swapcase(), f"{sig}{sig}", sig[:-1], "")
    for variant in (*padded, *others):
        assert refused(PATH, {**query, "sig": variant}) is ErrorKind.FORBIDDEN


@pytest.mark.parametrize("name", ["sig", "exp", "kid", "disposition"])
def test_parameter_that_comes_twice_is_forbidden(name: str):
    query = query_of(SIGNER.sign(PATH, {"disposition": "inline"}, expires_at=100, epoch=0))
    assert single_valued(query.items()) == query
    for value in (query[name], "other", ""):
        with pytest.raises(MediaServiceError) as caught:
            single_valued([*query.items(), (name, value)])
        assert caught.value.kind is ErrorKind.FORBIDDEN


@given(st.dictionaries(st.sampled_from(["exp", "kid", "sig", "x"]), st.text() | st.just("new")))
def test_no_query_of_a_stranger_is_verified(query: dict[str, str]):
    assert refused(PATH, query) in {ErrorKind.FORBIDDEN, ErrorKind.GONE}


def test_key_is_shown_once_and_kept_as_a_digest():
    key = generate_key(owner_id=uuid4(), name="n", scopes=["files:read"], origin=KeyOrigin.API)
    kind, prefix, secret = key.text.split("_", 2)
    assert kind == "msk"
    assert len(secret) >= 32
    assert (key.row.prefix, key.row.key_sha256) == (prefix, digest_of(key.text))
    assert secret not in repr(vars(key.row))
    assert shown_prefix(key.text) == prefix


def test_two_keys_are_never_alike():
    make = lambda: generate_key(owner_id=uuid4(), name="n", scopes=[], origin=KeyOrigin.API).text  # noqa: E731
    assert len({make() for _ in range(100)}) == 100
