"""Which addresses may be connected to for a user. Core room: pure.

A table of our own: what `ipaddress.is_global` says has changed between releases of Python, also for the worse
(CVE-2024-4032). Whoever is not on the public Internet for certain is refused.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # "this host", which Linux connects to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; clouds keep metadata here, too (100.100.100.200)
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, public by number alone
        "169.254.0.0/16",  # link-local, with the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that was ever given out (IANA, "IPv6 Global Unicast Address Assignments")."""
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # of protocols; Teredo, which holds an IPv4 address, among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds one, too
        "3fff::/20",
    )
)
_HOLDS_V4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv4-mapped, and NAT64 with its well-known prefix (RFC 6052): the last 32 bits are connected to."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if any(address in network for network in _HOLDS_V4):
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def parsed(text: str) -> Address:
    """An address as a resolver gives it, perhaps with a zone. Raises ValueError."""
    return ip_address(text)
