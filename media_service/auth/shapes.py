"""How credentials are told apart by their looks. Core room: no library, since settings ask too."""

import re

REFRESH_PREFIX = "msr_"
UPLOAD_TOKEN_PREFIX = "mut_"  # noqa: S105 - what all of them begin with

_UPLOAD_TOKEN_SECRET = re.compile(r"(mut_[0-9A-Za-z]+_)[\w-]+", re.ASCII)


def is_access_token(credential: str) -> bool:
    """Whether a credential has the shape of a JWT: base64url of a JSON object, and two dots."""
    return credential.startswith("eyJ") and credential.count(".") == 2


def is_upload_token(credential: str) -> bool:
    return credential.startswith(UPLOAD_TOKEN_PREFIX)


def redacted(text: str) -> str:
    """A text in which upload tokens have lost their secrets: some clients can send them only in a path."""
    return _UPLOAD_TOKEN_SECRET.sub(r"\1[redacted]", text) if UPLOAD_TOKEN_PREFIX in text else text
