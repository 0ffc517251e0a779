"""What an origin is, as the `Origin` header of browsers spells it (RFC 6454 §6.2). Core room."""

import re

ANY = "*"

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
"""Other schemes than http are those of pages in an app, such as `capacitor://localhost`."""

_DEFAULT_PORTS = (("http://", ":80"), ("https://", ":443"))
"""Browsers leave them out, so an origin that names one would never match."""


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """The origins, each as it was. Raises ValueError for the first that no browser would send."""
    if ANY in origins and len(origins) > 1:
        raise ValueError("'*' stands alone: it allows every origin already")
    for origin in origins:
        if origin != ANY and not _is_origin(origin):
            raise ValueError(
                f"{origin!r} is not an origin as browsers send it, such as https://app.example.org: "
                "scheme and host in lower case, a port only if it is not the usual one, and no path or slash"
            )
    return origins


def _is_origin(text: str) -> bool:
    has_default_port = any(text.startswith(scheme) and text.endswith(port) for scheme, port in _DEFAULT_PORTS)
    return _ORIGIN.fullmatch(text) is not None and not has_default_port
