"""Whose word about a client counts."""

from ipaddress import ip_address

import pytest

from media_service.web.forwarded import Client, client_of, parse_address, parse_network

PROXY = "10.0.0.1"
TRUSTED = (parse_network("10.0.0.0/8"), parse_network("fd00::/8"))


def seen(
    *,
    peer: str = PROXY,
    forwarded: tuple[str, ...] = (),
    x_for: tuple[str, ...] = (),
    x_proto: tuple[str, ...] = (),
) -> tuple[str, str | None]:
    client: Client = client_of(
        ip_address(peer), TRUSTED, forwarded=forwarded, x_forwarded_for=x_for, x_forwarded_proto=x_proto
    )
    return str(client.address), client.scheme


CHAINS = [
    ("nothing said", (), PROXY),
    ("one proxy", ("203.0.113.7",), "203.0.113.7"),
    ("one proxy and its port", ("203.0.113.7:4711",), "203.0.113.7"),
    ("IPv6", ("2001:db8::7",), "2001:db8::7"),
    ("IPv6 with a port", ("[2001:db8::7]:4711",), "2001:db8::7"),
    ("a client that lies", ("198.51.100.66, 203.0.113.7",), "203.0.113.7"),
    ("a client that claims to be a proxy", ("10.9.9.9, 203.0.113.7",), "203.0.113.7"),
    ("two proxies", ("203.0.113.7, 10.0.0.2",), "203.0.113.7"),
    ("two proxies on two lines", ("203.0.113.7", "10.0.0.2"), "203.0.113.7"),
    ("a lie before two proxies", ("6.6.6.6, 203.0.113.7, 10.0.0.2",), "203.0.113.7"),
    ("a client behind our own wall", ("10.1.2.3",), "10.1.2.3"),
    ("a proxy that does not tell", ("203.0.113.7, unknown",), PROXY),
    ("no address", ("<script>",), PROXY),
    ("an address as IPv6 writes it", ("::ffff:203.0.113.7",), "203.0.113.7"),
    ("line noise", (" , ,, 203.0.113.7 , ",), "203.0.113.7"),
]


@pytest.mark.parametrize(("x_for", "client"), [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_chain_is_walked_from_its_near_end(x_for: tuple[str, ...], client: str):
    assert seen(x_for=x_for) == (client, None)
    quoted = tuple(
        ", ".join(f'for="{item.strip()}"' for item in value.split(",") if item.strip()) for value in x_for
    )
    assert seen(forwarded=quoted) == (client, None)


@pytest.mark.parametrize("peer", ["203.0.113.99", "2001:db8::99", "11.0.0.1"])
def test_stranger_is_believed_nothing(peer: str):
    told = seen(peer=peer, forwarded=("for=1.1.1.1;proto=https",), x_for=("1.1.1.1",), x_proto=("https",))
    assert told == (peer, None)


@pytest.mark.parametrize(
    ("x_for", "x_proto", "scheme"),
    [
        (("203.0.113.7",), ("https",), "https"),
        (("203.0.113.7",), ("HTTPS",), "https"),
        (("203.0.113.7",), ("https, http",), "http"),  # the nearer one is the proxy's
        (("203.0.113.7, 10.0.0.2",), ("https, http",), "https"),  # https up to the outer proxy
        (("203.0.113.7, 10.0.0.2",), ("https",), "https"),
        (("203.0.113.7",), ("javascript",), None),
        ((), ("https",), "https"),
    ],
)
def test_scheme_is_that_of_the_outermost_trusted_proxy(
    x_for: tuple[str, ...], x_proto: tuple[str, ...], scheme: str | None
):
    assert seen(x_for=x_for, x_proto=x_proto)[1] == scheme


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (("for=203.0.113.7;proto=https;by=10.0.0.1",), ("203.0.113.7", "https")),
        (("For=203.0.113.7;Proto=HTTPS",), ("203.0.113.7", "https")),
        (('for="[2001:db8::7]:4711";host=evil.example',), ("2001:db8::7", None)),
        (("for=_hidden;proto=https",), (PROXY, "https")),
        (("proto=https",), (PROXY, "https")),
        (('for="6.6.6.6',), (PROXY, None)),
        (('for="6.6.6.6, for=203.0.113.7',), (PROXY, None)),  # the client's quote swallows the proxy's word
        (('for="', "for=203.0.113.7"), ("203.0.113.7", None)),
        (("for=6.6.6.6 for=203.0.113.7",), (PROXY, None)),
    ],
)
def test_forwarded_is_read_as_its_rfc_says(forwarded: tuple[str, ...], expected: tuple[str, str | None]):
    assert seen(forwarded=forwarded) == expected


def test_where_two_headers_differ_neither_counts():
    # One is the proxy's, and the other came through it; nobody can know which.
    assert seen(forwarded=("for=6.6.6.6",), x_for=("203.0.113.7",)) == (PROXY, None)
    assert seen(forwarded=("for=203.0.113.7;proto=https",), x_for=("203.0.113.7",), x_proto=("http",)) == (
        PROXY,
        None,
    )


def test_where_two_headers_agree_they_count():
    assert seen(forwarded=("for=203.0.113.7",), x_for=("203.0.113.7",), x_proto=("https",)) == (
        "203.0.113.7",
        "https",
    )


@pytest.mark.parametrize(
    "text", ["", "unknown", "_x", "a.example", "1.2.3", "1.2.3.4.5", "[::1", "1.2.3.4:a b", "٣.2.3.4"]
)
def test_what_is_no_address_is_none(text: str):
    assert parse_address(text) is None


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy.example", "*", ""])
def test_network_that_cannot_be_trusted_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):
        parse_network(text)
