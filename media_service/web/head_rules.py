"""Rules of RFC 9112 for the head of a request that the parser does not check. Core room.

A head in, a fault out. What two readers of one request could take for two different things is refused: the
other one may be a proxy.
"""

import re
from collections.abc import Sequence

_HOST = re.compile(rb"(?:\[[\w.:%~-]+\]|[\w.%~!$&'()*+,;=-]*)(?::\d*)?", re.ASCII)


def fault_of(
    method: bytes, version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> str | None:
    """What is wrong with a head, for people; None if nothing is. Names of headers are in lower case."""
    if method == b"CONNECT":
        return "The service is no proxy (RFC 9110 §9.3.6)."
    if version not in {"1.0", "1.1"}:
        return "The service speaks HTTP/1.1."
    if b"#" in target:
        return "The address has a fragment, which is the client's own affair (RFC 9112 §3.2)."
    return _host_fault(version, _values(b"host", headers)) or _coding_fault(
        version, _values(b"transfer-encoding", headers)
    )


def _values(name: bytes, headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for found, value in headers if found == name]


def _host_fault(version: str, hosts: list[bytes]) -> str | None:
    """RFC 9112 §3.2: exactly one, and a valid one; HTTP/1.0 did not know it."""
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        return "A request has one Host header (RFC 9112 §3.2)."
    if hosts and not _HOST.fullmatch(hosts[0].strip(b" \t")):
        return "The Host header is no host (RFC 9112 §3.2)."
    return None


def _coding_fault(version: str, codings: list[bytes]) -> str | None:
    """RFC 9112 §6.1: a body in a coding that is not undone would be stored as something else."""
    if not codings:
        return None
    if version == "1.0":
        return "HTTP/1.0 knows no Transfer-Encoding (RFC 9112 §6.1)."
    if [coding.strip(b" \t").lower() for coding in codings] != [b"chunked"]:
        return "The one Transfer-Encoding that the service takes is 'chunked'."
    return None
