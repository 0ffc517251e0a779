"""A pytest plugin: no line that the service logs in the whole run holds a secret.

It looks at every record of this process, whoever captures it, and at the logs of the services that were
started in processes of their own. A finding fails the run, and names the test in which it was seen.
"""

import logging
import os
import re
from collections.abc import Iterator

import pytest

from tests.support.accounts import PASSWORD

OTHERS = ("httpx", "httpcore", "werkzeug", "urllib3", "botocore", "asyncio", "hypothesis")
"""Loggers of the tests' own side, which share the process."""

SECRETS = re.compile(
    r"""
      \bmsk_[0-9A-Za-z]+_[\w-]{16,}                        # API keys
    | \bmut_[0-9A-Za-z]+_[\w-]{16,}                        # upload tokens
    | \bmsr_[\w-]{16,}                                     # refresh tokens
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}                 # access tokens
    | [?&](?:sig|X-Amz-Signature|X-Amz-Security-Token)=[\w%-]{8,}
    | \b[Bb]earer\ [\w.-]{8,}
    | \$argon2id?\$
    """,
    re.VERBOSE,
)
SHOWN_ONCE = ("(shown only this once)", "  curl -H ")
"""The lines beside the log that have to hold a key: what `make run` prints at its first start."""

_found: set[tuple[str, str]] = set()


def secrets_in(text: str, *, known: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a log that hold something of the shape of a secret, or one of those that are known."""
    for line in text.splitlines():
        holds = SECRETS.search(line) or any(secret in line for secret in (PASSWORD, *known))
        if holds and not any(shown in line for shown in SHOWN_ONCE):
            yield line


def check_log(text: str, *, known: tuple[str, ...] = ()) -> None:
    """Note what must not stand in the log of a started service; the run fails at its end."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "between tests")
    _found.update((test, line) for line in secrets_in(text, known=known))


def text_of(record: logging.LogRecord) -> str:
    """All that a formatter could make of a record on one line."""
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return f"{record.msg} {record.args} {trace}".replace("\n", " ")


def pytest_configure() -> None:
    make_record = logging.getLogRecordFactory()

    def watched(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        if not str(record.name).startswith(OTHERS):
            check_log(text_of(record))
        return record

    logging.setLogRecordFactory(watched)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _found:
        terminalreporter.section("secrets in log lines fail the run", red=True, bold=True)
        for test, line in sorted(_found):
            terminalreporter.line(f"{test}: {line[:400]}")
