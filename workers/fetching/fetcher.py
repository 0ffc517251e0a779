"""Fetches one file from another server over HTTP, believing nothing that it says. Worker room."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpcore2

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.imports.addresses import Address, is_public
from media_service.imports.urls import ImportUrl
from media_service.uploads.headers import declared_length, disposition_filename
from workers.fetching.guarded_network import Deadline, GuardedNetwork, Resolve, resolve

MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another try may help (RFC 9110 §15, RFC 6585 §4, RFC 8470)."""

USER_AGENT = "media-service"


@dataclass(frozen=True, slots=True)
class FetchRules:
    """Bounds of one fetch; all of them are settings."""

    ports: Collection[int]
    timeout: timedelta
    idle_timeout: timedelta


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer whose body is still to come."""

    filename: str
    """As the server or the URL calls it; perhaps nothing."""
    length_bytes: int | None
    chunks: Iterator[bytes]
    """Every byte once. Raises MediaServiceError, as `Fetcher.open` does."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """`resolve` and `allows` are for tests, which have no public servers: no setting leads to them."""

    rules: FetchRules
    resolve: Resolve = resolve
    allows: Callable[[Address], bool] = field(default=is_public)

    @contextmanager
    def open(self, text: str) -> Iterator[Fetched]:
        """The answer of a URL, after at most three redirects, each judged like the URL itself.

        Raises MediaServiceError: unprocessable for what will not change (the URL, its addresses, a refusal),
        unreachable for what may pass.
        """
        url = ImportUrl.parse(text, ports=self.rules.ports)
        deadline = Deadline(self.rules.timeout.total_seconds())
        for _ in range(MAX_REDIRECTS + 1):
            with self._get(url, deadline) as answer:
                if answer.status not in _REDIRECTS:
                    yield _checked(url, answer)
                    return
                location = _header(answer, b"location")
            if location is None:
                raise _refusal("It is redirected to nowhere.")
            url = url.joined(location, ports=self.rules.ports)
        raise _refusal(f"It is redirected more than {MAX_REDIRECTS} times.")

    @contextmanager
    def _get(self, url: ImportUrl, deadline: Deadline) -> Iterator[httpcore2.Response]:
        """One request on a connection of its own. No proxy of the environment takes part."""
        network = GuardedNetwork(deadline, resolve=self.resolve, allows=self.allows)
        idle = self.rules.idle_timeout.total_seconds()
        timeouts = {"connect": idle, "read": idle, "write": idle, "pool": idle}
        headers = [
            ("Host", url.authority),
            ("User-Agent", USER_AGENT),
            ("Accept", "*/*"),
            # What is stored are the bytes that the server has; and nothing here ever unpacks anything.
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        target = httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        with (
            _translated_errors(deadline),
            httpcore2.ConnectionPool(network_backend=network, max_connections=1) as pool,
            pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as answer,
        ):
            yield answer


def _checked(url: ImportUrl, answer: httpcore2.Response) -> Fetched:
    if answer.status in _PASSING:
        raise _unreachable(f"The other server answered {answer.status}.")
    if answer.status != 200:
        raise _refusal(f"The other server answered {answer.status}.")
    if (_header(answer, b"content-encoding") or "identity").strip().lower() != "identity":
        raise _refusal("The other server sends it compressed, although it was asked not to.")
    return Fetched(
        filename=disposition_filename(_header(answer, b"content-disposition")) or url.last_segment,
        length_bytes=declared_length(_header(answer, b"content-length")),
        chunks=answer.iter_stream(),
    )


def _header(answer: httpcore2.Response, name: bytes) -> str | None:
    values = [value for found, value in answer.headers if found.lower() == name]
    return values[0].decode("latin-1") if values else None


@contextmanager
def _translated_errors(deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except httpcore2.UnsupportedProtocol as error:
        raise _refusal("Only http and https are fetched.") from error
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
        deadline.check()  # the last wait may have been the one that it cut short
        raise _unreachable("The other server does not answer, or breaks off.") from error


def _refusal(why: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.UNPROCESSABLE, "import-refused", f"The file cannot be fetched. {why}")


def _unreachable(why: str) -> MediaServiceError:
    return MediaServiceError(ErrorKind.UNREACHABLE, "import-unreachable", why)
