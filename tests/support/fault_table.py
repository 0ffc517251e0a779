"""A pytest plugin: the matrix of faults as a page, written by `make faults` from what the tests saw.

A test says which row it proves: `@pytest.mark.fault("F12", "Redis hangs", "uploads are taken as ever; ...")`.
"""

import os
import platform
from collections import defaultdict
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

CONFIGURATIONS = {"embedded": "SQLite, local", "postgresql-s3": "PostgreSQL, S3"}

HEAD = """# Faults

Written by `make faults` on {date} (Python {python}, {machine}). Each row is a fault that was done to a
started service, all of its processes real, while it worked; the tests are in `tests/faults`. After each one
the same things are checked: whatever was acknowledged is there byte by byte, no row without its object and no
object without its row, every job ended, one effect for each upload, nothing leaked, new work done within half
a minute, and no internals in any answer.

| row | fault | what was seen to hold | {columns} |
|---|---|---|{dashes}|
"""

SOAK_HEAD = """# Soak

Written by `make soak` on {date} (Python {python}, {machine}). Faults came at random, one after the other,
while four clients uploaded, read and deleted; then everything was checked that [faults](faults.md) tells, and
every photo was ready. "Broken off" are requests whose connection died; "repeated" ones were sent again under
their `Idempotency-Key` until they were answered.

"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, help="write the matrix of faults to this file")
    parser.addoption("--soak-report", type=Path, help="write what a soak saw to this file")
    parser.addoption("--soak-seconds", type=float, default=60, help="how long faults come at random")
    parser.addoption("--soak-seed", type=int, help="which faults, and when; by default others each time")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "fault(row, fault, holds): the row of the matrix of faults that a test proves"
    )
    table: Path | None = config.getoption("--fault-table", default=None)
    soak: Path | None = config.getoption("--soak-report", default=None)
    if table is not None or soak is not None:
        config.pluginmanager.register(_Table(table, soak), "fault-table")


class _Table:
    def __init__(self, path: Path | None, soak_path: Path | None) -> None:
        self._path = path
        self._soak_path = soak_path
        self._rows: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        self._failed: set[tuple[tuple[str, str, str], str]] = set()
        self._soaks: list[tuple[str, str]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        marker = item.get_closest_marker("fault")
        if marker is not None:
            self._note((marker.args[0], marker.args[1], marker.args[2]), _configuration_of(item), report)
        return report

    def _note(self, row: tuple[str, str, str], configuration: str, report: pytest.TestReport) -> None:
        """A test is also its set-up and its tear-down, where the invariants are checked."""
        if report.failed:
            self._failed.add((row, configuration))
            self._rows[row].setdefault(configuration, "")
        if report.when == "call":
            self._rows[row][configuration] = f"{report.duration:.1f} s"
            self._soaks += [
                (CONFIGURATIONS[configuration], str(text))
                for name, text in report.user_properties
                if name == "soak"
            ]

    def pytest_sessionfinish(self) -> None:
        facts = {
            "date": datetime.now(UTC).date(),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        if self._path is not None and self._rows:
            columns, dashes = " | ".join(CONFIGURATIONS.values()), "|".join("---" for _ in CONFIGURATIONS)
            rows = "".join(self._line(row) for row in sorted(self._rows, key=_order))
            self._path.write_text(HEAD.format(**facts, columns=columns, dashes=dashes) + rows)
        if self._soak_path is not None and self._soaks:
            soaks = "".join(f"- **{configuration}**: {text}\n" for configuration, text in self._soaks)
            self._soak_path.write_text(SOAK_HEAD.format(**facts) + soaks)

    def _line(self, row: tuple[str, str, str]) -> str:
        cells = [self._cell(row, configuration) for configuration in CONFIGURATIONS]
        return f"| {' | '.join([*row, *cells])} |\n"

    def _cell(self, row: tuple[str, str, str], configuration: str) -> str:
        if (row, configuration) in self._failed:
            return "**failed**"
        return self._rows[row].get(configuration, "has no such part")


def _configuration_of(item: pytest.Item) -> str:
    """A test that starts a service of its own has the embedded one."""
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return str(parameters.get("started", "embedded"))


def _order(row: tuple[str, str, str]) -> tuple[int, str]:
    """By number; the soak comes last."""
    number = row[0].removeprefix("F")
    return int(number) if number.isdigit() else 1000, row[1]
