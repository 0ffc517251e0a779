"""Whom a limit counts for. Core room."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from uuid import UUID

from media_service.web.forwarded import parse_address

IPV6_PREFIX = 64
"""What one customer gets at least (RFC 6177): whoever has one has all of its 2^64 addresses."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a limit counts for, by a digest: neither addresses nor ids stand in Redis."""

    digest: str
    is_known: bool
    """Whether it is a credential that was found to be good: it passes while nobody can count."""


def credential_subject(credential_id: UUID) -> Subject:
    return Subject(_digest(b"credential", credential_id.bytes), is_known=True)


def address_subject(host: str | None) -> Subject:
    """An address, or of IPv6 its network. Whoever has none, behind a unix socket, shares one subject."""
    return Subject(_digest(b"address", _network(host).encode()), is_known=False)


def account_subject(name: str) -> Subject:
    """An account by the name that somebody uses for it, whether or not it exists."""
    return Subject(_digest(b"account", name.encode(errors="replace")), is_known=False)


def credential_origin_subject(origin: str) -> Subject:
    """A key or a login that was made here, and may have ended."""
    return Subject(_digest(b"origin", origin.encode()), is_known=False)


def owner_subject(owner_id: UUID) -> Subject:
    """A user by id: no name that a stranger types at the login counts for it."""
    return Subject(_digest(b"owner", owner_id.bytes), is_known=False)


def pair_subject(one: Subject, other: Subject) -> Subject:
    return Subject(_digest(b"pair", f"{one.digest}/{other.digest}".encode()), is_known=False)


def _network(host: str | None) -> str:
    address = parse_address(host or "")
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def _digest(kind: bytes, value: bytes) -> str:
    return hashlib.blake2b(value, digest_size=16, person=kind).hexdigest()
