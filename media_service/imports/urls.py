"""URLs that may be fetched for a user, taken apart once. Core room: pure.

Whoever connects uses these parts and never the text again: two parsers of one text may see two hosts.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from media_service.exceptions import ErrorKind, MediaServiceError

MAX_URL_CHARACTERS = 4096
DEFAULT_PORTS = {"http": 80, "https": 443}

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
"""Control characters could end a request line; a backslash is a slash to browsers and none to others."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,252}[a-z0-9])?\.?", re.ASCII)
_IPV6 = re.compile(r"[0-9a-f:.]{2,45}", re.ASCII)
"""No zone (`%eth0`): it names an interface of ours."""


@dataclass(frozen=True, slots=True)
class ImportUrl:
    """Where to connect, and what to ask for there."""

    scheme: str
    host: str
    """In lower case, ASCII, without brackets."""
    port: int
    target: str
    """Path and query, percent-encoded."""

    @classmethod
    def parse(cls, text: str, *, ports: Collection[int]) -> Self:
        """Raises MediaServiceError (unprocessable) with what is wrong; the text is in no message."""
        if len(text) > MAX_URL_CHARACTERS or _UNSAFE.search(text):
            raise _refused("It is too long, or has a space, a control character or a backslash.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise _refused("It cannot be read.") from None
        if parts.scheme not in DEFAULT_PORTS:
            raise _refused("Only http and https are fetched.")
        if "@" in parts.netloc:
            raise _refused("It may have no user name and no password.")
        port = DEFAULT_PORTS[parts.scheme] if port is None else port
        if port not in ports:
            raise _refused(f"Port {port} is not among those that may be fetched from.")
        return cls(parts.scheme, _host(parts), port, _target(parts))

    def joined(self, location: str, *, ports: Collection[int]) -> Self:
        """The target of a redirect (RFC 9110 §15.4), judged like any other. Never from https to http."""
        joined = self.parse(urljoin(self.text, location), ports=ports)
        if self.scheme == "https" and joined.scheme == "http":
            raise _refused("It was redirected from https to http.")
        return joined

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def last_segment(self) -> str:
        """What the path calls the file, perhaps nothing."""
        return unquote(self.target.partition("?")[0].rpartition("/")[2], errors="replace")


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        if not _IPV6.fullmatch(host):
            raise _refused("Its host is no address.")
        return host
    try:
        host = host.encode("idna").decode().lower()
    except UnicodeError:
        raise _refused("Its host is no name.") from None
    if not _HOST.fullmatch(host):
        raise _refused("Its host is no name.")
    return host


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return f"{path}?{query}" if query else path


def _refused(why: str) -> MediaServiceError:
    return MediaServiceError(
        ErrorKind.UNPROCESSABLE, "import-url-refused", f"This URL cannot be imported. {why}"
    )
