"""Classes of routes that are limited alike. Core room."""

from enum import StrEnum


class RateClass(StrEnum):
    """The name of a setting, and of a policy in the headers. The last four are against guessing."""

    READ = "read"
    CONTENT = "content"
    WRITE = "write"
    UPLOAD = "upload"
    SIGN = "sign"
    EXEMPT = "exempt"
    """Requests that belong to an upload that was accepted: as many as it takes."""
    LOGIN = "login"
    REGISTER = "register"
    PASSWORD = "password"  # noqa: S105 - a name
    ACCOUNT = "account"
    CREDENTIALS = "credentials"
