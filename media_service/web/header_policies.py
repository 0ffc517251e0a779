"""Which headers protect which class of route. Core room.

The first row whose prefix fits counts, and an answer's own headers come before all of them: content of users
has its own (`blob_response.py`), and so have pages with scripts (`docs_pages.py`).
"""

from collections.abc import Mapping

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

NOTHING_BUT_TEXT = "default-src 'none'; frame-ancestors 'none'"

API = {
    **_ALWAYS,
    # Even if a browser were made to show an answer as a page, it could load and run nothing.
    "Content-Security-Policy": NOTHING_BUT_TEXT,
    # Answers are somebody's: no cache may hand them to the next one.
    "Cache-Control": "no-store",
}
PAGES = {
    **_ALWAYS,
    "Content-Security-Policy": f"{NOTHING_BUT_TEXT}; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-cache",  # the same for everybody, and new after an upgrade
}
ASSETS = {**PAGES, "Cross-Origin-Resource-Policy": "same-origin"}

ASSETS_PREFIX = "/static-offline-docs/"

TABLE: tuple[tuple[str, Mapping[str, str]], ...] = (
    (ASSETS_PREFIX, ASSETS),
    ("/docs", PAGES),
    ("/redoc", PAGES),
    ("/problems", PAGES),
    ("", API),
)

HSTS = {"Strict-Transport-Security": "max-age=31536000"}
"""A year (RFC 6797). Not for other hosts of the domain: they are not ours to decide about."""


def headers_for(path: str) -> Mapping[str, str]:
    """What an answer to this path has if it does not say otherwise."""
    return next(headers for prefix, headers in TABLE if path.startswith(prefix))


def docs_policy(*, script_hashes: tuple[str, ...] = ()) -> str:
    """The policy of a page of documentation: scripts of our own, and requests to this service alone.

    Both libraries make styles at run time, which cannot be hashed; a style can neither run nor send anything
    here, as nothing may be loaded from elsewhere.
    """
    scripts = " ".join(("'self'", *(f"'sha256-{digest}'" for digest in script_hashes)))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src blob:; worker-src blob:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
