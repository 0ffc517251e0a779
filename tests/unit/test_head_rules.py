"""Heads that a parser takes and RFC 9112 does not."""

import pytest

from media_service.web.head_rules import fault_of

HOST = (b"host", b"media.example")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a",
        "a:",
        "a:80",
        "127.0.0.1:8000",
        "[::1]",
        "[::1]:8000",
        "[fe80::1%25eth0]:1",
        "a_b.c-d",
        "a%20b",
    ],
)
def test_host_of_every_allowed_form_is_taken(host: str):
    assert fault_of(b"GET", "1.1", b"/", [(b"host", host.encode())]) is None


@pytest.mark.parametrize(
    "host",
    ["a b", "a/b", "a@b", "a,b c", "a:b", "a:80:81", "::1", "[::1", "[]", "a?b", "a#b", "\x00", "\xff"],
)
def test_host_that_is_none_is_a_fault(host: str):
    assert fault_of(b"GET", "1.1", b"/", [(b"host", host.encode("latin-1"))]) is not None


@pytest.mark.parametrize(("version", "is_fault"), [("1.1", True), ("1.0", False)])
def test_host_is_missed_in_the_version_that_asks_for_it(version: str, *, is_fault: bool):
    assert (fault_of(b"GET", version, b"/", []) is not None) is is_fault


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "3.0"])
def test_other_version_is_a_fault(version: str):
    assert fault_of(b"GET", version, b"/", [HOST]) is not None


@pytest.mark.parametrize("codings", [[b"chunked"], [b"Chunked"], [b" chunked\t"]])
def test_chunks_are_taken(codings: list[bytes]):
    assert (
        fault_of(b"POST", "1.1", b"/", [HOST, *((b"transfer-encoding", coding) for coding in codings)])
        is None
    )


@pytest.mark.parametrize(
    "codings", [[b""], [b"gzip"], [b"gzip, chunked"], [b"chunked, gzip"], [b"chunked"] * 2, [b"chunked;a"]]
)
def test_every_other_coding_is_a_fault(codings: list[bytes]):
    headers = [HOST, *((b"transfer-encoding", coding) for coding in codings)]
    assert fault_of(b"POST", "1.1", b"/", headers) is not None


def test_chunks_in_http_1_0_are_a_fault():
    assert fault_of(b"POST", "1.0", b"/", [HOST, (b"transfer-encoding", b"chunked")]) is not None


def test_fragment_and_tunnel_are_faults():
    assert fault_of(b"GET", "1.1", b"/a#b", [HOST]) is not None
    assert fault_of(b"CONNECT", "1.1", b"a:443", [HOST]) is not None
