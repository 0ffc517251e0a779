"""Who a client is by the word of trusted proxies: `Forwarded` (RFC 7239), `X-Forwarded-For`. Core room.

Anybody can send these headers, and a proxy only adds to what it was sent. So the chain is walked from its
near end, and each entry counts only if who wrote it is trusted. A Host is never taken from them: links are
built from MEDIA_PUBLIC_URL.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import zip_longest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SCHEMES = frozenset({"http", "https"})

_PAIR = re.compile(r"""\s*([\w!#$%&'*+.^`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s",;]*)\s*([,;]|$)""", re.ASCII)
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[^:\[\]]+))(?::[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hop:
    """From whom one proxy was sent the request, and how. None: it does not say, or nothing that is usable."""

    address: Address | None
    scheme: str | None


@dataclass(frozen=True, slots=True)
class Client:
    address: Address
    scheme: str | None
    """None: as the connection itself."""


def parse_network(text: str) -> Network:
    """An address or a network. Raises ValueError."""
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError("would believe every client what it says about itself")
    return network


def parse_address(text: str) -> Address | None:
    """An address with or without a port; None for what is none (`unknown`, names, `_hidden`)."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found["v6"] or found["v4"]) if found else text)
    except ValueError:
        return None
    # What a socket for both families calls a client of IPv4.
    return getattr(address, "ipv4_mapped", None) or address


def client_of(
    peer: Address,
    trusted: Sequence[Network],
    *,
    forwarded: Sequence[str],
    x_forwarded_for: Sequence[str],
    x_forwarded_proto: Sequence[str],
) -> Client:
    """Who sent a request that came from `peer`; the values of each header are given in their order.

    Where both headers are there and differ, neither counts: the proxy wrote one, and let pass the other.
    """
    one = _walk(peer, trusted, _forwarded_hops(forwarded))
    other = _walk(peer, trusted, _x_forwarded_hops(x_forwarded_for, x_forwarded_proto))
    if not forwarded:
        return other
    if not x_forwarded_for or one == other:
        return one
    if one.address == other.address and None in {one.scheme, other.scheme}:
        return Client(one.address, one.scheme or other.scheme)
    return Client(peer, None)


def _walk(peer: Address, trusted: Sequence[Network], hops: Iterator[Hop]) -> Client:
    """Go from proxy to proxy, nearest first, as far as they are trusted."""
    client = Client(peer, None)
    for hop in hops:
        if not any(client.address in network for network in trusted):
            break
        client = Client(hop.address or client.address, hop.scheme or client.scheme)
        if hop.address is None:
            break
    return client


def _forwarded_hops(values: Sequence[str]) -> Iterator[Hop]:
    for value in reversed(values):
        elements = _elements(value)
        if elements is None:
            return  # an open quote may have swallowed what a proxy appended
        for element in reversed(elements):
            yield Hop(parse_address(element.get("for", "")), _scheme(element.get("proto")))


def _elements(value: str) -> list[dict[str, str]] | None:
    """The elements of one header, each as its pairs; None if it does not follow RFC 7239 §4."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(value):
        pair = _PAIR.match(value, at)
        if pair is None:
            return None
        name, text, separator = pair.groups()
        elements[-1][name.lower()] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
        if separator == ",":
            elements.append({})
        at = pair.end()
    return elements


def _x_forwarded_hops(addresses: Sequence[str], schemes: Sequence[str]) -> Iterator[Hop]:
    """Proxies append an address each; of schemes some append, and some leave the one of the outermost."""
    for address, scheme in zip_longest(_split(addresses), _split(schemes)):
        yield Hop(parse_address(address or ""), _scheme(scheme))


def _split(values: Sequence[str]) -> list[str]:
    """Nearest first."""
    return [item.strip() for item in ",".join(values).split(",") if item.strip()][::-1]


def _scheme(text: str | None) -> str | None:
    return text.lower() if text is not None and text.lower() in SCHEMES else None
