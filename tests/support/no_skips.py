"""A pytest plugin: where CI is set, a skipped test is a failure of the run.

A skip says that something is missing on this machine. On a developer's that is their affair; in CI it would
turn a whole suite off without anybody noticing. Expected failures (xfail) are no skips.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if is_ci():
        config.pluginmanager.register(_NoSkips(), "no-skips")


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


class _NoSkips:
    """Collects skipped tests and modules, and fails the session for them."""

    def __init__(self) -> None:
        self._skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._skipped:
            terminalreporter.section("skipped tests fail the run where CI is set", red=True, bold=True)
            for nodeid in self._skipped:
                terminalreporter.line(nodeid)
